//! Request methods.

use std::fmt;
use std::str::FromStr;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;

/// The methods of RFC 9110 and RFC 5789.
const KNOWN: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A request method, as on the wire; case matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(String);

// === impl Method ===

impl Method {
    /// The method as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadMethod,
                format!("`{}` is not a request method", text.escape_debug()),
                label,
            )
        };
        if let Some(known) =
            KNOWN.iter().find(|known| known.eq_ignore_ascii_case(text) && **known != text)
        {
            return Err(
                bad("methods are in capitals on the wire").help(format!("did you mean `{known}`?"))
            );
        }
        // RFC 9110, section 5.6.2: token.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(token) {
            return Err(
                bad("a method is a word of letters").help("leave the key out for any method")
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Syntax for Method {
    fn accepts() -> String {
        "a method such as `\"GET\"`".to_owned()
    }
}
