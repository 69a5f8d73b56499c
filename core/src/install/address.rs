//! Which hosts are somebody's own: a server that fetches for strangers must not reach them.
//!
//! Sources: the IANA registries of special-purpose addresses (RFC 6890), RFC 6761 (`localhost`), RFC 6762 (`local`), RFC 8375
//! (`home.arpa`), ICANN's reservation of `internal`.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Names whose hosts are never public.
const LOCAL_NAMES: [&str; 6] = ["localhost", "local", "internal", "arpa", "lan", "onion"];

/// Whether a host, as [`host`](super::host) gives it, is local, private, reserved, or written so that clients read it differently.
#[must_use]
pub fn is_private(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains(':') {
        return host.parse().map_or(true, |address| !is_public_v6(address));
    }
    let Some((_, last)) = host.rsplit_once('.') else {
        // One label is a name of the local network, or a number.
        return true;
    };
    // Only the plain form of numbers is read alike by all.
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

/// Global unicast, less the parts that lead to IPv4 addresses or to nowhere.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    matches!(a, 0x2000..=0x3fff)
        && a != 0x2002
        && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
        && a != 0x3fff
}
