//! What a client takes: `Accept-Encoding`. What of `Accept` concerns metrics, [`export::metrics`](crate::export::metrics) knows.

/// Whether the answer may be compressed with gzip (RFC 9110 section 12.5.3): it is named, or everything is, and not with
/// the weight 0.
pub fn gzip(accept_encoding: Option<&str>) -> bool {
    let mut anything = false;
    for item in accept_encoding.unwrap_or_default().split(',') {
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let weight = parts.find_map(|part| part.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
        let wanted = weight.is_none_or(|weight| weight.trim().parse().is_ok_and(|weight: f32| weight > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        if name == "*" {
            anything = wanted;
        }
    }
    anything
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_asked_for_and_not_refused() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1", "gzip ; q=1", "x-gzip"] {
            assert!(gzip(Some(yes)), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "deflate, br", "gzip;q=nonsense"] {
            assert!(!gzip(Some(no)), "{no}");
        }
        assert!(!gzip(None));
    }
}
