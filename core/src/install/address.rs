//! Tells which hosts belong to a private network. A server that fetches for strangers must not
//! reach them.
//!
//! Sources: the IANA registries of special-purpose addresses (RFC 6890), RFC 6761 (`localhost`),
//! RFC 6762 (`local`), RFC 8375 (`home.arpa`), ICANN's reservation of `internal`.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Top-level names whose hosts are never public.
const LOCAL_NAMES: [&str; 6] = ["localhost", "local", "internal", "arpa", "lan", "onion"];

/// Whether a host, in the form that [`host`](super::host) returns, is local, private or reserved,
/// or is written in a form that clients parse differently.
#[must_use]
pub fn is_private(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains(':') {
        return host.parse().map_or(true, |address| !is_public_v6(address));
    }
    let Some((_, last)) = host.rsplit_once('.') else {
        // A single label is a name of the local network, or a number.
        return true;
    };
    // Clients agree only on the dotted decimal form of IPv4 addresses.
    if last.starts_with(|c: char| c.is_ascii_digit()) || last.is_empty() {
        return host.parse().map_or(true, |address| !is_public_v4(address));
    }
    LOCAL_NAMES.contains(&last)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Whether the address is global unicast, except for the ranges that embed IPv4 addresses or are
/// not routed.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    matches!(a, 0x2000..=0x3fff)
        && a != 0x2002
        && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
        && a != 0x3fff
}
