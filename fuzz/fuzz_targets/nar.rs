//! NARs, cut anywhere: a valid NAR is written back byte for byte, and `NarSkimmer` finds the same entries.
#![no_main]

use interplanar_core::nar::{Encoder, Listing, NarSkimmer, Parser, Restore};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, nar) = input;
    let mut parser = Parser::new();
    let (mut listing, mut encoder, mut restore) = (Listing::new(), Encoder::new(), Restore::new());
    let (mut written, mut sound) = (Vec::new(), true);
    'read: for mut piece in nar.chunks(usize::from(piece) + 1) {
        loop {
            match parser.push(&mut piece) {
                Ok(Some(event)) => {
                    encoder
                        .write(event, &mut written)
                        .expect("an event that was read can be written");
                    let _ = restore.step(event);
                    if listing.push(event).is_err() {
                        sound = false;
                        break 'read;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    sound = false;
                    break 'read;
                }
            }
        }
    }
    if sound && parser.finish().is_ok() {
        assert_eq!(written, nar, "a NAR has one encoding");
        let mut skim = NarSkimmer::new();
        while !skim.is_done() {
            let at = usize::try_from(skim.position()).expect("inside");
            skim.push(&nar[at..]).expect("the same archive");
        }
        assert_eq!(skim.listing().entries(), listing.entries());
    }
});
