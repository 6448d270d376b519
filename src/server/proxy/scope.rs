use crate::Fingerprint;
use http::{HeaderName, HeaderValue, request::Parts};

/// Returns a function that tells principals apart by the values of these headers, for
/// [`IdempotencyLayer::new`](crate::tower::IdempotencyLayer::new).
///
/// Such values are often secrets, so what names the principal is a digest of them. No secret goes into it, since it has to come out
/// the same for as long as the store lives, in whatever process: whoever can read the store, or a list of its records, can find out
/// which of the values that they guess is right, and sees where two scopes are of one principal. Random tokens of 128 bits are safe
/// from that; passwords (`Authorization: Basic`) and short names are not. A request that lacks one of the headers has no
/// principal, and is refused where it has a key: were it taken for an empty value, all requests that say who they are in some other
/// way would see each other's responses. Without any header, everybody is one principal.
///
/// ```
/// use http::{HeaderName, Request};
/// use idemstore::server::proxy::principal_of_headers;
///
/// let principal = principal_of_headers([HeaderName::from_static("x-tenant")]);
/// let of = |tenant: &str| principal(&Request::post("/").header("x-tenant", tenant).body(()).unwrap().into_parts().0);
/// assert_eq!(of("7"), of("7"));
/// assert_ne!(of("7"), of("8"));
/// assert_eq!(principal(&Request::post("/").body(()).unwrap().into_parts().0), None);
/// ```
pub fn principal_of_headers(
    names: impl IntoIterator<Item = HeaderName>,
) -> impl Fn(&Parts) -> Option<String> + Send + Sync + 'static {
    let mut names: Vec<_> = names.into_iter().collect();
    // The order in which they are told is no part of who somebody is.
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    move |parts| {
        if names.is_empty() {
            return Some("everybody".to_owned());
        }
        let mut told: Vec<Vec<u8>> = vec![b"principal".to_vec()];
        for name in &names {
            let values: Vec<_> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            if values.is_empty() {
                return None;
            }
            told.push(name.as_str().as_bytes().to_vec());
            told.push(values.len().to_string().into_bytes());
            told.extend(values.into_iter().map(<[u8]>::to_vec));
        }
        let told: Vec<&[u8]> = told.iter().map(Vec::as_slice).collect();
        Some(format!("headers:{}", Fingerprint::of(&told)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use std::collections::HashSet;

    fn principal(names: &[&'static str], fields: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::post("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        principal_of_headers(names.iter().map(|name| HeaderName::from_static(name)))(&parts)
    }

    #[test]
    fn no_two_lists_of_values_are_one_principal() {
        let (a, b) = ("a", "b");
        let lists: &[&[(&str, &str)]] = &[
            &[(a, "1"), (b, "2")],
            &[(a, "2"), (b, "1")],
            &[(a, "1"), (a, "2"), (b, "2")],
            &[(a, "1"), (b, "2"), (b, "2")],
            &[(a, ""), (b, "")],
            &[(a, "12"), (b, "")],
        ];
        let principals: HashSet<_> = lists.iter().map(|fields| principal(&[a, b], fields).unwrap()).collect();
        assert_eq!(principals.len(), lists.len());
        assert_eq!(principal(&[a, b], lists[0]), principal(&[b, a, a], lists[0]));
        assert!(!principals.iter().any(|name| name.contains('2') && name.len() < 64), "digests");
    }

    #[test]
    fn who_does_not_say_everything_is_nobody() {
        assert_eq!(principal(&["a", "b"], &[("a", "1")]), None);
        assert_eq!(principal(&[], &[]).as_deref(), Some("everybody"));
    }
}
