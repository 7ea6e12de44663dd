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
fn a_variable_may_hold_what_a_file_would() {
    let given = |file: Option<&Path>, extra: &[(&str, &str)]| {
        let document = ("EVENTCHAIN_CONFIG_DOCUMENT", "installation: here\nsweeps: { hot: 30s }\n");
        let all = std::iter::once(&document).chain(extra).map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        load(file, all.collect::<Vec<_>>().into_iter())
    };
    let config = given(None, &[("EVENTCHAIN_SWEEPS_HOT", "5s")]).unwrap();
    assert_eq!((config.installation.as_str(), config.sweeps.hot), ("here", Span::from_secs(5)));
    let twice = given(Some(Path::new("operator.yaml")), &[]).unwrap_err();
    assert!(twice.to_string().contains("operator.yaml"), "{twice}");
}

#[test]
fn the_databases_secret_is_named_by_its_arn() {
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1";
    assert!(from("", &[("EVENTCHAIN_DATABASE_PASSWORD_SECRET", arn)]).is_ok());
    assert_eq!(from("database: { passwordSecret: mine }", &[]), Err(vec!["database.passwordSecret".to_owned()]));
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

const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn no_listener_beyond_this_machine_without_authentication_unless_said_in_words() {
    let listen = "listen: 0.0.0.0:8443";
    assert_eq!(from(&format!("http: {{ {listen} }}"), &[]), Err(vec!["http.listen".to_owned()]));
    assert!(from(&format!("http: {{ {listen}, insecureNoAuth: true }}"), &[]).is_ok());
    assert!(from(&format!("http: {{ {listen} }}"), &[("EVENTCHAIN_HTTP_INSECURE_NO_AUTH", "true")]).is_ok());
    let auth = format!(
        "auth: {{ tokens: [{{ user: alice, hash: \"{HASH}\" }}], roles: [{{ role: admin, users: [alice] }}] }}"
    );
    let tls = "tls: { certFile: a.crt, keyFile: a.key }";
    assert!(from(&format!("{auth}\nhttp: {{ {listen}, {tls} }}"), &[]).unwrap().access().checked.is_some());
    assert_eq!(from(&format!("{auth}\nhttp: {{ {listen} }}"), &[]), Err(vec!["http.tls".to_owned()]));
    assert!(from(&format!("{auth}\nhttp: {{ {listen}, insecurePlainTokens: true }}"), &[]).is_ok());
    assert!(from(&auth, &[]).is_ok(), "on loopback a token travels nowhere");
    let both = from(&format!("{auth}\nhttp: {{ insecureNoAuth: true }}"), &[]);
    assert_eq!(both, Err(vec!["http.insecureNoAuth".to_owned()]));
}

#[test]
fn roles_and_tokens_are_refused_with_their_paths_all_at_once() {
    let refused = from(
        &format!(
            "auth:\n  tokens: [{{ user: \"system:x\", hash: hunter2 }}, {{ user: b, hash: \"{HASH}\" }}, \
             {{ user: c, hash: \"{HASH}\" }}]\n  roles: [{{ role: king, users: [b] }}, {{ role: viewer }}, \
             {{ role: viewer, users: [b], selector: \"a in\" }}, {{ role: viewer, users: [b], selector: \" \" }}]\n\
             http: {{ trustedProxies: [10.0.0.0/8, here], userRequestBurst: 0 }}\n"
        ),
        &[],
    )
    .unwrap_err();
    for path in [
        "auth.tokens[0].user",
        "auth.tokens[0].hash",
        "auth.tokens[2].hash",
        "auth.roles[0].role",
        "auth.roles[1].users",
        "auth.roles[2].selector",
        "auth.roles[3].selector",
        "http.trustedProxies[1]",
        "http.userRequestBurst",
    ] {
        assert!(refused.iter().any(|found| found == path), "{path} not in {refused:?}");
    }
    assert_eq!(
        from(&format!("auth: {{ tokens: [{{ user: a, hash: \"{HASH}\" }}] }}"), &[]),
        Err(vec!["auth.roles".to_owned()]),
        "nobody could do anything"
    );
}

#[test]
fn a_list_comes_from_a_variable_with_commas_and_tls_from_two() {
    let config = from(
        "",
        &[
            ("EVENTCHAIN_HTTP_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
            ("EVENTCHAIN_HTTP_TLS_CERT_FILE", "/a.crt"),
            ("EVENTCHAIN_HTTP_TLS_KEY_FILE", "/a.key"),
        ],
    )
    .unwrap();
    assert_eq!(config.access().trusted_proxies.len(), 2);
    assert!(config.http.tls.is_some());
}
