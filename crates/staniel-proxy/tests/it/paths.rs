//! One path, many spellings: what the routes decide is what any origin reads.

use staniel_test::raw::{Answer, RawOrigin};

use crate::support::{Rig, web};

/// What an origin makes of a path that decodes every escape once, reads `\` as `/`, and cleans up.
fn read_by_an_origin(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    let decoded = String::from_utf8_lossy(&decoded).replace('\\', "/");
    let mut segments = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other.to_owned()),
        }
    }
    format!("/{}", segments.join("/"))
}

fn spellings() -> Vec<String> {
    let mut all: Vec<String> = [
        "/admin",
        "/admin/",
        "/admin/x",
        "/admin/./x",
        "/admin/../admin",
        "//admin",
        "///admin//x",
        "/./admin",
        "/x/../admin",
        "/x/y/../../admin",
        "/x/..//admin",
        "/x/../admin/..",
        "/../admin",
        "/../../admin/x",
        "/%61dmin",
        "/%61%64%6d%69%6e",
        "/%61%64%6D%69%6E/x",
        "/adm%69n?q",
        "/x/%2e%2e/admin",
        "/x/%2E%2e/admin",
        "/x/.%2e/admin",
        "/x/%2e./admin",
        "/%2e/admin",
        "/x%2f..%2fadmin",
        "/x/..%2fadmin",
        "/x/%2e%2e%2fadmin",
        "/%2fadmin",
        "/admin%2fx",
        "/admin%2F..%2Fx",
        "/%2e%2e%2fadmin",
        "/x\\..\\admin",
        "/\\admin",
        "/admin\\x",
        "/x/..\\admin",
        "/x%5c..%5cadmin",
        "/%5cadmin",
        "/admin%5cx",
        "/x/%2e%2e%5cadmin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/x/.;/admin",
        "/x/%2e%2e;/admin",
        "/admin%00",
        "/x%00/../admin",
        "/%2561dmin",
        "/x/%252e%252e/admin",
        "/x/..%252fadmin",
        "/ADMIN",
        "/Admin/x",
        "/admin.",
        "/admin..",
        "/...//admin",
        "/admin?/../x",
        "/x?/../admin",
        "/admi%6e",
        "/a%64min/%2e",
        "/x/../a%64min/y",
        "/x/..///./admin",
        "/adminx",
        "/%c0%ae%c0%ae/admin",
        "/x/%c0%af../admin",
        "/%25%36%31dmin",
        "/x/%2e%2e/%2e%2e/admin",
        "/admin%20",
        "/%09admin",
        "/.admin",
        "/x/./../admin/./y",
    ]
    .map(str::to_owned)
    .to_vec();
    for dots in ["..", "%2e%2e", ".%2E"] {
        for slash in ["/", "//", "%2f", "%5C", "\\"] {
            all.push(format!("/a{slash}{dots}{slash}admin"));
        }
    }
    all
}

#[tokio::test]
async fn the_decision_never_differs_from_what_the_origin_reads() {
    let admin = RawOrigin::always(Answer::ok("admin")).await.unwrap();
    let rest = RawOrigin::always(Answer::ok("rest")).await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.admin]\npath = \"/admin/*\"\nto = \"http://{}\"\n\
         [route.rest]\nto = \"http://{}\"\n",
        admin.addr(),
        rest.addr()
    ))
    .await;
    let all = spellings();
    assert!(all.len() >= 60);
    let (mut to_admin, mut to_rest, mut refused) = (0, 0, 0);
    for target in &all {
        let answer = rig.get(target).await;
        match (answer.status(), &*answer.text()) {
            (200, "admin") => to_admin += 1,
            (200, "rest") => to_rest += 1,
            (400, _) => refused += 1,
            other => panic!("{target}: {other:?}"),
        }
    }
    let path = |target: &str| target.split('?').next().unwrap().to_owned();
    let is_admin = |path: &str| path == "/admin" || path.starts_with("/admin/");
    for seen in admin.requests() {
        let target = seen.message.target();
        let read = read_by_an_origin(&path(&target));
        assert!(is_admin(&read), "{target} went to admin, and the origin reads {read}");
    }
    for seen in rest.requests() {
        let target = seen.message.target();
        let read = read_by_an_origin(&path(&target));
        assert!(!is_admin(&read), "{target} went past admin, and the origin reads {read}");
    }
    assert!(to_admin > 20 && to_rest > 5 && refused > 10, "{to_admin} {to_rest} {refused}");
}

#[tokio::test]
async fn the_clients_bytes_are_forwarded_unless_there_were_dot_segments() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for (sent, seen) in [
        ("/%61?%61", "/%61?%61"),
        ("//a//b", "//a//b"),
        ("/a%2fb%2F", "/a%2fb%2F"),
        ("/a;b=c,d", "/a;b=c,d"),
        ("/a/../%62?x=../y", "/b?x=../y"),
        ("/a/./%2f", "/a/%2F"),
        ("/?", "/?"),
        ("/a/..?", "/?"),
    ] {
        let n = origin.requests().len();
        assert_eq!(rig.get(sent).await.status(), 200, "{sent}");
        assert_eq!(origin.requests()[n].message.target(), seen, "{sent}");
    }
}
