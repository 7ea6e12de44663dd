//! What is accepted, what is refused, and by which path.

use std::io::Write;

use super::*;

fn from(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables: Vec<(String, String)> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(Some(file.path()), variables.into_iter()).map_err(|error| match error {
        ConfigError::Refused(problems) => problems.list().iter().map(|problem| problem.path.clone()).collect(),
        other => vec![other.to_string()],
    })
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(from("", &[]), Ok(Config::default()));
    assert_eq!(load(None, std::iter::empty()).unwrap(), Config::default());
}

#[test]
fn the_environment_wins_over_the_file() {
    let config =
        from("sweeps: { hot: 30s }\ninstallation: here\n", &[("EVENTCHAIN_SWEEPS_HOT", "5s"), ("OTHER", "x")]).unwrap();
    assert_eq!(config.sweeps.hot, Span::from_secs(5));
    assert_eq!(config.installation, "here");
}

#[test]
fn wrong_keys_are_refused_with_their_paths_all_at_once() {
    let refused = from(
        "sweep: {}\nhttp: { listen: 0.0.0.0:80 }\nleases: { ttl: 60s }\naws: { accounts: { \"12\": {} } }\n",
        &[("EVENTCHAIN_SWEPT", "1"), ("EVENTCHAIN_PASSES_CONCURRENCY", "many")],
    )
    .unwrap_err();
    for path in ["sweep", "http.listen", "leases.ttl", "EVENTCHAIN_SWEPT", "passes.concurrency"] {
        assert!(refused.iter().any(|found| found == path), "{path} not in {refused:?}");
    }
    assert!(refused.iter().any(|found| found.starts_with("aws.accounts")), "{refused:?}");
}

#[test]
fn a_role_must_be_of_its_account() {
    let refused =
        from("aws: { accounts: { \"123456789012\": { roleArn: \"arn:aws:iam::210987654321:role/x\" } } }", &[]);
    assert_eq!(refused, Err(vec!["aws.accounts.123456789012.roleArn".to_owned()]));
}

#[test]
fn the_call_timeout_stays_below_the_lease() {
    assert_eq!(from("leases: { ttl: 6s }", &[]).unwrap().call_timeout(), Duration::from_secs(4));
    assert_eq!(from("aws: { callTimeout: 10s }", &[]), Err(vec!["aws.callTimeout".to_owned()]));
}
