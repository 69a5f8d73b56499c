//! Lists a NAR: the type, the size in bytes and the path of each entry.
//!
//! ```sh
//! cargo run --example list_nar -- tests/fixtures/nix-2.34.8/none/nar/*.nar
//! ```
//! The NAR is parsed piece by piece, so memory stays small however large it is.

use interplanar_core::nar::{Event, Parser};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(path), None) = (args.next(), args.next()) else {
        eprintln!("usage: list_nar FILE.nar");
        return ExitCode::from(2);
    };
    let listed = File::open(&path).map_err(Box::from).and_then(list);
    if let Err(error) = listed {
        eprintln!("list_nar: can't list {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn list(mut file: File) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let (mut parser, mut path) = (Parser::new(), vec![String::from(".")]);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(parser.finish()?);
        }
        let mut input = &buffer[..length];
        while let Some(event) = parser.push(&mut input)? {
            match event {
                // Names are bytes: escape them, so that they can't contain codes for the terminal.
                Event::EntryStart { name } => path.push(name.escape_ascii().to_string()),
                Event::EntryEnd => drop(path.pop()),
                Event::DirectoryStart => writeln!(out, "d {:>12} {}/", "", path.join("/"))?,
                Event::FileStart {
                    executable, size, ..
                } => {
                    let kind = if executable { 'x' } else { 'f' };
                    writeln!(out, "{kind} {size:>12} {}", path.join("/"))?;
                }
                Event::Symlink { target } => {
                    let target = target.escape_ascii();
                    writeln!(out, "l {:>12} {} -> {target}", "", path.join("/"))?;
                }
                Event::FileData(_) | Event::FileEnd | Event::DirectoryEnd | Event::End => {}
            }
        }
    }
}
