use http::header;

use super::*;

fn routes(upstreams: &[&str]) -> Routes {
    Routes::new(&Config {
        upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
        allowed_hosts: vec!["cat.example".to_owned()],
        ..Config::default()
    })
}

fn ask(routes: &Routes, method: &str, target: &str, fields: &[(&'static str, &str)]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    let asked = Asked {
        method: &method.parse().unwrap(),
        uri: &target.parse().unwrap(),
        headers: &headers,
        local: "127.0.0.1:8080".parse().unwrap(),
        only: None,
        within: None,
        listeners: Listeners::default(),
    };
    shown(routes.route(asked))
}

fn shown(route: Route) -> String {
    match route {
        Route::Reverse { target, mount, .. } => format!("reverse {mount} {target}"),
        Route::Bridge(goal) => format!("bridge {} {} {}", goal.index, goal.endpoint, goal.is_endpoint),
        Route::Forward { target, .. } => format!("forward {target}"),
        Route::Authorization { asked, .. } => format!("authorization {asked:?}"),
        Route::Connect { authority } => format!("connect {authority}"),
        Route::Certificate => "certificate".to_owned(),
        Route::Nowhere(nowhere) => format!("{nowhere:?}"),
    }
}

const OURS: &[(&str, &str)] = &[("host", "127.0.0.1:8080")];

#[test]
fn one_unnamed_upstream_keeps_the_target_byte_for_byte() {
    let routes = routes(&["http://up:3001/mcp"]);
    for target in ["/mcp", "/mcp/", "/a/../b//c%2f?x=%27&&", "/"] {
        assert_eq!(
            ask(&routes, "POST", target, OURS),
            format!("reverse  http://up:3001{target}")
        );
    }
}

#[test]
fn named_upstreams_live_under_their_name() {
    let routes = routes(&["db=http://up:1/mcp", "gh=http://up:2/x/mcp?k=v"]);
    for (target, expected) in [
        ("/db", "reverse /db http://up:1/mcp"),
        ("/db?a=b", "reverse /db http://up:1/mcp?a=b"),
        ("/gh?a=b", "reverse /gh http://up:2/x/mcp?k=v&a=b"),
        ("/db/other", "reverse /db http://up:1/other"),
        ("/dbx", r#"UnknownMount { name: "dbx", known: ["db", "gh"] }"#),
    ] {
        assert_eq!(ask(&routes, "POST", target, OURS), expected);
    }
}

#[test]
fn commands_live_under_their_name_or_at_mcp() {
    let command = |name: Option<&str>| crate::config::CommandServer {
        name: name.map(str::to_owned),
        program: "x".to_owned(),
        args: Vec::new(),
        cwd: None,
        env: Vec::new(),
    };
    let routes = Routes::new(&Config {
        upstreams: vec!["db=http://up:1/mcp".parse().unwrap()],
        commands: vec![command(Some("fs")), command(None)],
        ..Config::default()
    });
    for (target, expected) in [
        ("/db", "reverse /db http://up:1/mcp"),
        ("/fs", "bridge 0 /fs true"),
        ("/fs/mcp?x", "bridge 0 /fs true"),
        ("/fs/other", "bridge 0 /fs false"),
        ("/mcp", "bridge 1 /mcp true"),
        ("/.well-known/oauth-protected-resource/mcp", "bridge 1 /mcp false"),
    ] {
        assert_eq!(ask(&routes, "POST", target, OURS), expected);
    }
    let foreign = ask(&routes, "POST", "/mcp", &[("host", "evil.example")]);
    assert!(foreign.starts_with("ForeignHost"), "{foreign}");
}

#[test]
fn relayed_authorization_servers_are_found_at_the_port_of_their_upstream_too() {
    let mut routes = routes(&["db=http://up:1/mcp"]);
    routes.oauth = OauthMode::Relay;
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9002"));
    let ask = |target: &str, only| {
        shown(routes.route(Asked {
            method: &Method::GET,
            uri: &target.parse().unwrap(),
            headers: &headers,
            local: "127.0.0.1:9002".parse().unwrap(),
            only: Some(only),
            within: None,
            listeners: Listeners::default(),
        }))
    };
    for target in [
        "/.well-known/oauth-authorization-server/.shadowcat/as/1",
        "/.shadowcat/as/1/token_endpoint",
    ] {
        let shown = ask(target, ServerPlace::Upstream(0));
        assert!(shown.starts_with("authorization"), "{shown}");
        let shown = ask(target, ServerPlace::Command(0));
        assert!(shown.starts_with("bridge"), "{shown}");
    }
}

#[test]
fn at_a_port_of_its_own_a_named_upstream_gets_every_path_as_it_is() {
    let routes = routes(&["db=http://up:1/mcp", "gh=http://up:2/x/mcp"]);
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9002"));
    for target in ["/x/mcp", "/db", "/?a=b"] {
        let asked = Asked {
            method: &Method::POST,
            uri: &target.parse().unwrap(),
            headers: &headers,
            local: "127.0.0.1:9002".parse().unwrap(),
            only: Some(ServerPlace::Upstream(1)),
            within: None,
            listeners: Listeners::default(),
        };
        let Route::Reverse {
            target: onward,
            mount,
            ..
        } = routes.route(asked)
        else {
            panic!("{target} went nowhere");
        };
        assert_eq!(
            (onward.to_string(), mount),
            (format!("http://up:2{target}"), String::new())
        );
    }
}

#[test]
fn no_path_can_change_the_authority() {
    let routes = routes(&["http://up:3001/mcp", "db=http://db:1/mcp"]);
    for target in [
        "//evil.example/",
        "/@evil.example",
        "/db//evil.example/",
        "/db/@evil",
        "/db/..%2f",
    ] {
        let uri: Uri = ask(&routes, "GET", target, OURS)
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            ["up", "db"].contains(&uri.host().unwrap()),
            "{target} went to {uri}"
        );
    }
}

#[test]
fn an_absolute_target_is_forward_unless_it_names_us() {
    let routes = routes(&["http://up:3001/mcp"]);
    assert_eq!(
        ask(&routes, "GET", "http://x.dev/a?b", &[]),
        "forward http://x.dev/a?b"
    );
    assert_eq!(
        ask(&routes, "GET", "http://localhost:8080/mcp", OURS),
        "reverse  http://up:3001/mcp"
    );
    assert_eq!(ask(&routes, "CONNECT", "x.dev:443", &[]), "connect x.dev:443");
    assert_eq!(ask(&routes, "CONNECT", "127.0.0.1:8080", &[]), "Loop");
    assert_eq!(ask(&routes, "TRACE", "/", OURS), "Trace");
}

#[test]
fn foreign_hosts_and_origins_are_refused_on_loopback() {
    let routes = routes(&["http://up:3001/mcp"]);
    let refused =
        |fields: &[(&'static str, &str)]| !ask(&routes, "POST", "/mcp", fields).starts_with("reverse");
    assert!(refused(&[("host", "evil.example:8080")]));
    assert!(refused(&[("host", "localhost:9999")]));
    assert!(refused(&[]));
    assert!(refused(&[("host", "127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
    assert!(refused(&[("host", "localhost:8080"), ("origin", "null")]));
    assert!(refused(&[
        ("host", "localhost:8080"),
        ("origin", "https://evil.example")
    ]));
    assert!(!refused(&[
        ("host", "[::1]:8080"),
        ("origin", "http://localhost:5173")
    ]));
    assert!(!refused(&[("host", "cat.example")]));
}

#[test]
fn forwarding_is_for_this_machine_only() {
    let asked = Asked {
        method: &Method::GET,
        uri: &"http://x.dev/".parse().unwrap(),
        headers: &HeaderMap::new(),
        local: "10.0.0.5:8080".parse().unwrap(),
        only: None,
        within: None,
        listeners: Listeners::default(),
    };
    assert!(matches!(
        routes(&[]).route(asked),
        Route::Nowhere(Nowhere::OpenProxy)
    ));
    let mut guarded = routes(&[]);
    guarded.forward.proxy_auth = Some("me:secret".parse().unwrap());
    assert!(matches!(guarded.route(asked), Route::Nowhere(Nowhere::ProxyAuth)));
    let mut headers = HeaderMap::new();
    headers.insert(
        "proxy-authorization",
        HeaderValue::from_static("Basic bWU6c2VjcmV0"),
    );
    let proved = Asked {
        headers: &headers,
        ..asked
    };
    assert!(matches!(guarded.route(proved), Route::Forward { .. }));
}

#[test]
fn credentials_are_asked_of_forward_requests_only() {
    let mut routes = routes(&["http://up:3001/mcp"]);
    routes.forward.proxy_auth = Some("me:secret".parse().unwrap());
    let proof = &[("proxy-authorization", "Basic bWU6c2VjcmV0")];
    for (method, target) in [("GET", "http://x.dev/a"), ("CONNECT", "x.dev:443")] {
        assert_eq!(ask(&routes, method, target, &[]), "ProxyAuth");
        let wrong = &[("proxy-authorization", "Basic bWU6d3Jvbmc=")];
        assert_eq!(ask(&routes, method, target, wrong), "ProxyAuth");
        assert_ne!(ask(&routes, method, target, proof), "ProxyAuth");
    }
    assert!(ask(&routes, "POST", "/mcp", OURS).starts_with("reverse"));
    assert!(routes.takes_proxy_authorization());
}

#[test]
fn tunnels_go_where_they_may() {
    let mut routes = routes(&[]);
    routes.forward.allow_connect = vec!["*.dev:443".parse().unwrap()];
    assert_eq!(ask(&routes, "CONNECT", "x.dev:443", &[]), "connect x.dev:443");
    for place in ["x.dev:22", "x.com:443"] {
        assert!(ask(&routes, "CONNECT", place, &[]).starts_with("NotAllowed"));
    }
}

#[test]
fn inside_a_tunnel_nobody_gets_anywhere_else() {
    let within = Within {
        scheme: Scheme::HTTPS,
        authority: "x.dev".parse().unwrap(),
        spoken: None,
    };
    let go = |method: &str, target: &str| {
        shown(routes(&["http://up:3001/mcp"]).route(Asked {
            method: &method.parse().unwrap(),
            uri: &target.parse().unwrap(),
            headers: &HeaderMap::new(),
            local: "127.0.0.1:8080".parse().unwrap(),
            only: None,
            within: Some(&within),
            listeners: Listeners::default(),
        }))
    };
    for target in ["/mcp?a=//b", "//evil.dev/", "/@evil.dev", "/..%2f"] {
        assert_eq!(go("POST", target), format!("forward https://x.dev{target}"));
    }
    for target in ["https://x.dev/a", "https://X.dev:443/a"] {
        assert_eq!(go("GET", target), "forward https://x.dev/a");
    }
    for target in [
        "https://evil.dev/",
        "http://x.dev/",
        "https://x.dev:444/",
        "https://a@x.dev/",
        "http://127.0.0.1:8080/mcp",
    ] {
        assert!(go("GET", target).starts_with("Misdirected"), "{target}");
    }
    assert!(go("CONNECT", "x.dev:443").starts_with("BadTarget"));
    assert!(go("OPTIONS", "*").starts_with("forward https://x.dev"));
    assert_eq!(go("TRACE", "/"), "Trace");
}

#[test]
fn the_certificate_is_where_no_upstream_has_its_place() {
    let nobody = routes(&[]);
    assert_eq!(ask(&nobody, "GET", "/shadowcat-ca.pem", OURS), "certificate");
    assert!(ask(&nobody, "GET", "/shadowcat-ca.pem", &[]).starts_with("ForeignHost"));
    let server = routes(&["http://up:3001/mcp"]);
    assert!(ask(&server, "GET", "/shadowcat-ca.pem", OURS).starts_with("reverse"));
    assert_eq!(
        ask(&server, "GET", "http://shadowcat.invalid/shadowcat-ca.pem", &[]),
        "certificate"
    );
    assert_eq!(
        ask(&server, "GET", "http://shadowcat.invalid/", &[]),
        "NoUpstream"
    );
}

#[test]
fn another_listener_of_ours_is_no_other_server() {
    let routes = routes(&["db=http://up:1/mcp", "gh=http://up:2/x/mcp"]);
    let common = ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()];
    let ports = [(ServerPlace::Upstream(1), "127.0.0.1:9002".parse().unwrap())];
    let ask = |target: &str| {
        shown(routes.route(Asked {
            method: &Method::POST,
            uri: &target.parse().unwrap(),
            headers: &HeaderMap::new(),
            local: common[0],
            only: None,
            within: None,
            listeners: Listeners {
                common: &common,
                ports: &ports,
            },
        }))
    };
    assert_eq!(ask("http://localhost:9002/x/mcp"), "reverse  http://up:2/x/mcp");
    assert_eq!(ask("http://[::1]:8080/db"), "reverse /db http://up:1/mcp");
    assert_eq!(
        ask("http://localhost:9003/db"),
        "forward http://localhost:9003/db"
    );
}
