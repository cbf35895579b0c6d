//! A WASI command that does what its arguments say: it shows what a command gets and may do.
//!
//! Invariant: but for `script` and `exit`, which speak to WASI, it uses nothing but the standard
//! library, as other people's commands do.

#![expect(clippy::print_stdout, reason = "what a command says goes to standard output")]

mod script;
mod timing;

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match carry_out(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(words: &[&str]) -> io::Result<()> {
    match words {
        ["args", rest @ ..] => rest.iter().for_each(|word| println!("{word}")),
        ["env"] => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["cat"] => io::copy(&mut io::stdin().lock(), &mut io::stdout().lock()).map(drop)?,
        // The standard library can only say success or failure.
        ["exit", status] => wasip2::cli::exit::exit_with_code(number(status)?),
        ["abort"] => std::process::abort(),
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["wait"] => io::stdin().lock().read_to_end(&mut Vec::new()).map(drop)?,
        ["grow", mib] => {
            let mut held = Vec::new();
            for _ in 0..number::<usize>(mib)? {
                held.push(vec![1_u8; 1 << 20]);
            }
            println!("{}", held.len());
        }
        ["read", path] => io::stdout().lock().write_all(&fs::read(path)?)?,
        ["write", path, text] => fs::write(path, text)?,
        ["remove", path] => fs::remove_file(path)?,
        ["move", from, to] => fs::rename(from, to)?,
        ["list", path] => {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            names.iter().for_each(|name| println!("{name}"));
        }
        ["then", rest @ ..] => {
            // Several of these, one after the other, parted by `then`.
            for part in rest.split(|word| *word == "then") {
                carry_out(part)?;
            }
        }
        ["script"] => {
            let mut script = String::new();
            io::stdin().lock().read_to_string(&mut script)?;
            print!("{}", script::carry_out(&script));
        }
        ["time-small", folder, files] => print!("{}", timing::small(folder, number(files)?)?),
        ["time-stream", path, mib] => print!("{}", timing::stream(path, number(mib)?)?),
        other => return Err(io::Error::other(format!("what is {other:?}?"))),
    }
    Ok(())
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| io::Error::other(format!("`{text}` is no number")))
}
