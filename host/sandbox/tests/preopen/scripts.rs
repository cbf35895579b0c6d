//! Random scripts for the command.
//!
//! Invariant: a script follows from its seed alone.

/// Numbers that look random and come again with the same seed (SplitMix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn path(of: &mut Seeded) -> String {
    let names: Vec<&str> = (0..=of.below(3)).map(|_| of.pick(&["a", "b", "c", "d", "e"])).collect();
    let names = names.join("/");
    match of.below(24) {
        0 => format!("{names}/"),
        1 => format!("{names}/."),
        2 => format!("./{names}//"),
        3 => format!("a/../{names}"),
        4 => format!("{names}/.."),
        5 => ".".to_owned(),
        6 => format!("../{names}"),
        7 => format!("/{names}"),
        8 => "\"\"".to_owned(),
        _ => names,
    }
}

/// A path that does not end in a slash: stock wasmtime-wasi removes no `dir/`, takes `file/` for
/// `file`, and `link/`
/// for the link, where Linux does not.
fn unslashed(path: &str) -> &str {
    match path.trim_end_matches(['/']).trim_end_matches("/.") {
        "" => path,
        rest => rest,
    }
}

fn target(of: &mut Seeded) -> String {
    match of.below(5) {
        0 => of.pick(&["../a", "../b/c", "..", "../c/", "c/../a", "../../../x"]).to_owned(),
        _ => path(of),
    }
}

fn line(of: &mut Seeded) -> String {
    let (d, e) = (of.below(12), of.below(12));
    let follow = of.pick(&["follow", "stay"]);
    let data = of.pick(&["x", "yy", "zzz", "longer-text"]);
    let at = of.below(20);
    let (one, other) = (path(of), path(of));
    match of.below(40) {
        0..=7 => {
            let open = of.pick(&["-", "-", "-", "c", "c", "cx", "t", "ct", "d", "d", "cd"]);
            // Who makes or cuts a file may write to it here, whether or not that was asked for there.
            let flags = match open.contains(['c', 't']) {
                true => of.pick(&["w", "rw", "rwm"]),
                false => of.pick(&["r", "r", "w", "rw", "rw", "rwm", "rm", "-"]),
            };
            format!("open {d} {follow} {one} {open} {flags}")
        }
        8 => format!("close {d}"),
        9 | 10 => format!("write {d} {data} {at}"),
        11 => format!("append-stream {d} {data}"),
        12 => format!("write-stream {d} {data} {at}"),
        13 => format!("read {d} {at}"),
        14 => format!("read-stream {d} {at}"),
        15 => format!("size {d} {at}"),
        16 => format!("times {d} {} {}", of.pick(&["keep", "7"]), of.pick(&["keep", "9", "now"])),
        17 => format!(
            "times-at {d} {follow} {} keep {}",
            unslashed(&one),
            of.pick(&["now", "11", "12"])
        ),
        18 => format!("modified {d} {follow} {}", unslashed(&one)),
        19 => format!("{} {d}", of.pick(&["sync", "sync-data", "advise", "type", "flags"])),
        20..=22 => format!("mkdir {d} {one}"),
        23 | 24 => format!("unlink {d} {one}"),
        25 if at < 10 => format!("mkdir {d} {one}\nrmdir {d} {}", unslashed(&one)),
        25 => format!("rmdir {d} {}", unslashed(&one)),
        26..=29 => format!("rename {d} {one} {e} {other}"),
        30 | 31 => format!("link {d} stay {one} {e} {other}"),
        32 | 33 => format!("symlink {d} {} {one}", target(of)),
        34 => format!("stat {d}"),
        35 => format!("stat-at {d} {follow} {}", unslashed(&one)),
        36 => format!("readlink {d} {one}"),
        37 => format!("list {d}"),
        38 => format!("same {d} {e}"),
        _ => format!("hashes {d} {follow} {} {e}", unslashed(&one)),
    }
}

/// A script of some dozens of operations.
pub(crate) fn random(of: &mut Seeded) -> String {
    let lines = 20 + of.below(40);
    (0..lines).map(|_| line(of) + "\n").collect()
}
