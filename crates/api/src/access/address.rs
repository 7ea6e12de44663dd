//! From where a request comes. `X-Forwarded-For` is what anybody may write: it counts only as far as trusted proxies
//! wrote it.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// In which proxies say whom they ask for; each adds at the end whom it was asked by.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address: the last one in the chain that is no trusted proxy's.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return peer;
    }
    let chain: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for element in chain.join(",").rsplit(',') {
        // What is no address was not written by a proxy of ours: what is before it is worth nothing.
        let Some(address) = parse(element) else { break };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// An address, with or without a port.
fn parse(element: &str) -> Option<IpAddr> {
    let element = element.trim();
    let address = element.parse::<IpAddr>().ok();
    let with_port = || element.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    Some(address.or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_whom_it_asks_for() {
        assert_eq!(found("192.0.2.1", &["198.51.100.9"], &[]), "192.0.2.1");
        assert_eq!(found("192.0.2.1", &["198.51.100.9"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(found("10.1.2.3", &["198.51.100.9"], &["10.0.0.0/8"]), "198.51.100.9");
        assert_eq!(found("10.1.2.3", &[], &["10.0.0.0/8"]), "10.1.2.3");
    }

    #[test]
    fn what_stands_before_the_first_stranger_counts_for_nothing() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(found("10.1.2.3", &["127.0.0.1, 198.51.100.9, 10.9.9.9"], &trusted), "198.51.100.9");
        assert_eq!(found("10.1.2.3", &["203.0.113.1", "198.51.100.9:4711"], &trusted), "198.51.100.9");
        assert_eq!(found("10.1.2.3", &["203.0.113.1, unknown"], &trusted), "10.1.2.3");
        assert_eq!(found("::ffff:10.1.2.3", &["2001:db8::7"], &trusted), "2001:db8::7");
    }
}
