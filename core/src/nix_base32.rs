//! nix_base32
