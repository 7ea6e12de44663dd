//! The listener, on a real socket.

use std::time::Duration;

use api::{ServeConfig, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::support::Api;

async fn start(
    api: &Api,
    config: ServeConfig,
) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = api.router.clone();
    let serving = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        serve(listener, router, config, shutdown).await.unwrap();
    });
    (address, stop, serving)
}

async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_are_served_until_shutdown() {
    let api = Api::new().await;
    let (address, stop, serving) = start(&api, ServeConfig::default()).await;
    let answer = exchange(address, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    // An idle connection does not hold up the end.
    let idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), serving).await.expect("it ends").unwrap();
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_given_up() {
    let api = Api::new().await;
    let config = ServeConfig { header_timeout: Duration::from_millis(50), ..ServeConfig::default() };
    let (address, stop, serving) = start(&api, config).await;
    let answer = exchange(address, "GET /livez HTTP/1.1\r\nHost:").await;
    assert!(!answer.contains("200 OK"), "{answer}");
    stop.send(()).unwrap();
    serving.await.unwrap();
}
