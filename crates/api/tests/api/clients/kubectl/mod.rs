//! kubectl 1.20 and 1.35: every command, over one table of rows where both have it.

mod applying;
mod asking;
mod program;
mod reading;
mod waiting;
mod writing;

use program::{Kubectl, Version};

use super::server::Server;
use super::tool::tool;

/// A kubectl and a server for it; none where the machine lacks that kubectl.
async fn on(version: Version) -> Option<(Kubectl, Server)> {
    let program = tool(match version {
        Version::Old => "EVENTCHAIN_KUBECTL_120",
        Version::New => "EVENTCHAIN_KUBECTL_135",
    })?;
    let server = Server::start().await;
    Some((Kubectl::new(version, program, server.url()), server))
}

/// Two tests of each story: with the one kubectl, and with the other.
macro_rules! with_both {
    ($($test:ident: $module:ident::$story:ident),+ $(,)?) => {
        mod kubectl_1_20 {
            $(#[tokio::test]
            async fn $test() {
                if let Some((kubectl, server)) = super::on(super::Version::Old).await {
                    super::$module::$story(&kubectl, &server).await;
                }
            })+
        }

        mod kubectl_1_35 {
            $(#[tokio::test]
            async fn $test() {
                if let Some((kubectl, server)) = super::on(super::Version::New).await {
                    super::$module::$story(&kubectl, &server).await;
                }
            })+
        }
    };
}

with_both!(
    reads_in_every_form: reading::forms,
    finds_its_way: reading::discovery,
    tells_what_happened: reading::events,
    writes: writing::writes,
    patches_and_edits: writing::patches,
    deletes: writing::deletes,
    names_what_is_refused: writing::refusals,
    applies: applying::client_side,
    applies_with_the_server: applying::server_side,
    moves_from_its_own_apply_to_the_servers: applying::migration,
    follows: waiting::follows,
    waits: waiting::waits,
    asks_what_it_may: asking::asks,
);
