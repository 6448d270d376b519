//! The operator's page.

use super::{Body, Problem};
use crate::{Result, random::hex_id};
use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{self, HeaderName},
};

const INDEX: &str = include_str!("page/index.html");

const STYLE: &str = concat!(
    include_str!("page/tokens.css"),
    include_str!("page/layout.css"),
    include_str!("page/records.css"),
    include_str!("page/dialogs.css"),
);

/// One script in one scope: each file is a part of it, and names what the ones before it define.
const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("page/format.js"),
    include_str!("page/json_text.js"),
    include_str!("page/dom.js"),
    include_str!("page/theme.js"),
    include_str!("page/api.js"),
    include_str!("page/token.js"),
    include_str!("page/chart.js"),
    include_str!("page/tiles.js"),
    include_str!("page/figures.js"),
    include_str!("page/records.js"),
    include_str!("page/detail.js"),
    include_str!("page/resolve.js"),
    include_str!("page/main.js"),
    "})();\n",
);

const STYLE_HERE: &str = "<!--style-->";
const SCRIPT_HERE: &str = "<!--script-->";

const HEADERS: &[(&str, &str)] = &[
    ("content-type", "text/html; charset=utf-8"),
    // Each has a nonce of its own.
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Answers with the operator page, in one piece: style and script are in it. It asks for nothing but the API, at addresses relative
/// to its own, so that it works below any path that ends in a slash. There is no data in it, so a browser without the token gets it
/// as well (with status 401), and it asks the person for the token.
///
/// Its content security policy lets run what is in it, by a nonce that is new with each response, and nothing else; a script
/// cannot even make markup from text.
pub(super) fn answer() -> Response<Body> {
    page().map_or_else(|error| Problem::from(error).into_response(), |page| page.map(Body::full))
}

fn page() -> Result<Response<Bytes>> {
    let nonce = hex_id("", "a nonce")?;
    let style = format!("<style nonce=\"{nonce}\">\n{STYLE}</style>");
    let script = format!("<script nonce=\"{nonce}\">\n{SCRIPT}</script>");
    let html = INDEX.replacen(STYLE_HERE, &style, 1).replacen(SCRIPT_HERE, &script, 1);
    let mut response = Response::new(Bytes::from(html));
    let headers = response.headers_mut();
    headers.extend(HEADERS.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    // A nonce is hex digits, so this is a header value.
    let policy = HeaderValue::try_from(policy(&nonce));
    headers.extend(policy.ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
    Ok(response)
}

fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(page: &Response<Bytes>) -> &str {
        std::str::from_utf8(page.body()).unwrap()
    }

    #[test]
    fn the_policy_allows_what_is_in_the_page_by_a_nonce_that_is_never_the_same() {
        let (first, second) = (page().unwrap(), page().unwrap());
        let policy = |page: &Response<Bytes>| page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let nonce = policy(&first).split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        assert_eq!(nonce.len(), 32);
        assert_eq!(html(&first).matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        assert_eq!(html(&first).matches("<script").count() + html(&first).matches("<style").count(), 2);
        assert!(!policy(&first).contains("unsafe"));
        assert_ne!(policy(&first), policy(&second));
    }

    #[test]
    fn nothing_is_asked_of_another_place() {
        // The name of the namespace of SVG is not an address.
        let text = html(&page().unwrap()).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "=\"//", "url(", "@import"] {
            assert!(!text.contains(outside), "{outside}");
        }
    }

    #[test]
    fn markup_is_never_made_from_text() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function"] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"), "neither ends early");
    }

    #[test]
    fn a_date_is_made_of_a_number_only_where_any_number_makes_one() {
        let made = SCRIPT.matches("new Date(").count() - SCRIPT.matches("new Date()").count();
        assert_eq!((made, SCRIPT.matches("return new Date(Math.min(ms, 8.64e15))").count()), (1, 1));
    }

    #[test]
    fn no_password_keeper_is_offered_the_token() {
        assert!(INDEX.contains("<input name=\"token\" type=\"password\" autocomplete=\"off\""));
    }

    #[test]
    fn every_element_that_the_script_names_is_in_the_page() {
        let missing = |script: &str| -> Vec<String> {
            let names = script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next());
            // The title of a dialog is made with its content.
            let made = names.filter(|name| !SCRIPT.contains(&format!("id: \"{name}\"")));
            made.filter(|name| !INDEX.contains(&format!("id=\"{name}\""))).map(str::to_owned).collect()
        };
        assert_eq!(missing(SCRIPT), Vec::<String>::new());
        assert_eq!(missing("byId(\"nowhere\")"), ["nowhere"]);
    }
}
