//! placeholder until branch s2 is merged
