//! nar_dump
