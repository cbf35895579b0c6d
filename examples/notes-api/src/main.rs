//! The command line of notes-api.
//!
//! Invariant: standard output carries what was asked for, standard error everything else.

const USAGE: &str = "usage: notes-api [ADDRESS] [FILE]";

fn main() {
    println!("notes-api {}", env!("CARGO_PKG_VERSION"));
    println!("{USAGE}");
    println!("It does not serve anything yet: run phase 1.");
}
