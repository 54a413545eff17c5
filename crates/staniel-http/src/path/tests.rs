use proptest::prelude::*;

use super::*;

fn check(path: &str, expected: Result<(&str, bool), PathError>) {
    let normal = normalise(path.as_bytes());
    let normal = normal.map(|normal| {
        (String::from_utf8(normal.as_bytes().to_vec()).unwrap(), normal.had_dot_segments())
    });
    assert_eq!(normal, expected.map(|(path, dots)| (path.to_owned(), dots)), "{path}");
}

#[test]
fn sixty_spellings_of_admin_are_admin() {
    let spellings = [
        "/admin",
        "//admin",
        "///admin",
        "/\\admin",
        "\\/admin",
        "/%61dmin",
        "/%61%64%6d%69%6e",
        "/a%64min",
        "/admi%6E",
        "/admi%6e",
        "/./admin",
        "/././admin",
        "/.//admin",
        "//./admin",
        "/%2e/admin",
        "/%2E/admin",
        "/%2e%2e/admin",
        "/%2e./admin",
        "/.%2e/admin",
        "/../admin",
        "/../../admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/%2E%2e/admin",
        "/x/.%2e/admin",
        "/x/%2e./admin",
        "/x/y/../../admin",
        "/x//../admin",
        "/x/\\../admin",
        "/x\\..\\admin",
        "/x/..\\admin",
        "/x/..//admin",
        "/x/.././admin",
        "/x/./../admin",
        "/x/../y/../admin",
        "/./x/../admin",
        "/x/../../admin",
        "/x/../../../admin",
        "/..//admin",
        "/%5cadmin",
        "/%2fadmin",
        "/%2Fadmin",
        "/x/..%2fadmin",
        "/x/%2e%2e%2fadmin",
        "/x%2f..%2fadmin",
        "/x%2F%2e%2e%2Fadmin",
        "/.%2fadmin",
        "/x/..%5cadmin",
        "/x%5c..%5cadmin",
        "/%2f%2fadmin",
        "/%2e%2fadmin",
        "/%2e%2e%2fadmin",
        "/x/y%2f..%2f..%2fadmin",
        "/x%2fy/../../admin%2f..",
        "/a%64%6Din",
        "/%41dmin/../admin",
        "/admin/.",
        "/admin/",
        "/admin//",
        "/admin/x/..",
    ];
    for spelling in spellings {
        let spelling = if let Some(rest) = spelling.strip_prefix('\\') {
            format!("/{rest}")
        } else {
            spelling.to_owned()
        };
        let normal = normalise(spelling.as_bytes()).unwrap();
        let is_admin = |path: &[u8]| path == b"/admin" || path == b"/admin/";
        let seen =
            is_admin(normal.as_bytes()) || normal.escaped_slashes_read().is_some_and(is_admin);
        // One of them climbs out again in its second reading, as it should.
        assert!(seen || spelling == "/x%2fy/../../admin%2f..", "{spelling}: {normal:?}");
    }
}

#[test]
fn a_plain_path_is_borrowed() {
    for path in ["/", "/a", "/a/b.c", "/a/b;c=d", "/~user/x,y", "/a.b/..c/d..", "/a|b"] {
        let normal = normalise(path.as_bytes()).unwrap();
        if !path.contains("/.") {
            assert!(matches!(normal.path, Cow::Borrowed(_)), "{path}");
        }
        assert_eq!((normal.as_bytes(), normal.had_dot_segments()), (path.as_bytes(), false));
    }
}

#[test]
fn rows_of_the_table() {
    check("/a/./b/../c", Ok(("/a/c", true)));
    check("/a/b/..", Ok(("/a/", true)));
    check("/a/b/.", Ok(("/a/b/", true)));
    check("/..", Ok(("/", true)));
    check("/.well-known/x", Ok(("/.well-known/x", false)));
    check("/...", Ok(("/...", false)));
    check("/a//b//", Ok(("/a/b/", false)));
    check("/a\\b", Ok(("/a/b", false)));
    check("/%7euser", Ok(("/~user", false)));
    check("/a%2fb", Ok(("/a%2Fb", false)));
    check("/%252e%252e/x", Ok(("/%252e%252e/x", false)));
    check("/%c0%ae/x", Ok(("/%C0%AE/x", false)));
    check("/%20", Ok(("/%20", false)));
    check("/a%00b", Err(PathError::Nul));
    check("/a%", Err(PathError::Escape));
    check("/a%2", Err(PathError::Escape));
    check("/a%zz", Err(PathError::Escape));
    check("/a%+1", Err(PathError::Escape));
    check("/%u002e", Err(PathError::Escape));
    check("/a/..;/b", Err(PathError::DotParameter));
    check("/a/.;x/b", Err(PathError::DotParameter));
    check("/a/%2e%2e;x/b", Err(PathError::DotParameter));
    check("", Err(PathError::Relative));
    check("a", Err(PathError::Relative));
    check("*", Err(PathError::Relative));
}

#[test]
fn an_escaped_slash_has_a_second_reading() {
    let second = |path: &str| {
        let normal = normalise(path.as_bytes()).unwrap();
        normal.escaped_slashes_read().map(|path| String::from_utf8(path.to_vec()).unwrap())
    };
    assert_eq!(second("/a/b"), None);
    assert_eq!(second("/a//b"), None);
    assert_eq!(second("/a%2fb").as_deref(), Some("/a/b"));
    assert_eq!(second("/a%5C..%2f%2fb").as_deref(), Some("/b"));
    assert_eq!(second("/a%252fb"), None);
    assert_eq!(normalise(b"/a%2f..;x"), Err(PathError::DotParameter));
}

/// The same, one step of RFC 3986, section 5.2.4 after the other, on text.
fn reference(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut decoded = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            decoded.push(c);
            continue;
        }
        let (high, low) = (chars.next()?, chars.next()?);
        let byte = u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()?;
        match byte {
            0 => return None,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                decoded.push(char::from(byte))
            }
            byte => decoded.push_str(&format!("%{byte:02X}")),
        }
    }
    let mut input = decoded.replace('\\', "/");
    while input.contains("//") {
        input = input.replace("//", "/");
    }
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") {
            input = input[2..].to_owned();
        } else if input == "/." {
            input = "/".to_owned();
        } else if input.starts_with("/../") || input == "/.." {
            input = if input == "/.." { "/".to_owned() } else { input[3..].to_owned() };
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |n| n + 1);
            if input.starts_with("/.;") || input.starts_with("/..;") {
                return None;
            }
            output.push_str(&input[..end]);
            input = input[end..].to_owned();
        }
    }
    Some(output)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn equals_the_reference_and_is_idempotent(path in "/([a.%/\\\\;]|%2[eEfF5]|%5c|%61|\\.\\.|/){0,12}") {
        let normal = normalise(path.as_bytes());
        let text = normal.as_ref().ok().map(|normal| String::from_utf8(normal.as_bytes().to_vec()).unwrap());
        let second_is_refused = normal == Err(PathError::DotParameter);
        prop_assert!(text == reference(&path) || second_is_refused, "{path}: {text:?}, {:?}", reference(&path));
        if let Some(text) = text {
            let again = normalise(text.as_bytes()).unwrap();
            prop_assert_eq!(again.as_bytes(), text.as_bytes());
        }
    }
}
