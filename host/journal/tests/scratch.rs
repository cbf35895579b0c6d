//! scratch
use idumb_core::*;
use idumb_journal::*;
use std::time::Instant;
#[test]
fn speed() {
    let d = tempfile::tempdir_in("/work/main/target").unwrap();
    let st = StateDir::prepare(d.path()).unwrap();
    let lock = st.lock().unwrap();
    let mut j = Journal::open(&lock).unwrap();
    let ph = PhaseId::new(1, "a").unwrap();
    let run = j.next_run_id(&ph).unwrap();
    j.begin_run(
        &NewRun {
            run: &run,
            phase: &ph,
            plan_digest: Digest::of(b""),
            plan: "{}",
            started_at: 0,
        },
        &[],
    )
    .unwrap();
    let b = format!("{{\"x\":\"{}\"}}", "y".repeat(300));
    let ev = |_| NewEvent {
        at: 1,
        kind: "noted",
        task: None,
        body: b.clone(),
    };
    for round in 0..3 {
        let t = Instant::now();
        for i in 0..1000 {
            j.append(&run, &[ev(i)]).unwrap();
        }
        eprintln!("append one {round}: {:?}", t.elapsed() / 1000);
    }
    let f = std::fs::File::create(d.path().join("bare")).unwrap();
    use std::io::Write;
    let t = Instant::now();
    for _ in 0..1000 {
        (&f).write_all(b.as_bytes()).unwrap();
        f.sync_data().unwrap();
    }
    eprintln!("bare append+fdatasync: {:?}", t.elapsed() / 1000);
    let t = Instant::now();
    for _ in 0..300 {
        let e: Vec<_> = (0..1000).map(ev).collect();
        j.append(&run, &e).unwrap();
    }
    eprintln!("append 300x1000: {:?}", t.elapsed());
    drop(j);
    let t = Instant::now();
    let j = Journal::open(&lock).unwrap();
    eprintln!("open {:?}", t.elapsed());
    let t = Instant::now();
    eprintln!("{} read {:?}", j.events(&run).unwrap().len(), t.elapsed());
    let s = BlobStore::new(&st).unwrap();
    let t = Instant::now();
    for i in 0..100u32 {
        s.keep(&mut format!("a{i}").as_bytes()).unwrap();
    }
    eprintln!("keep {:?}", t.elapsed() / 100);
    let t = Instant::now();
    let w: Vec<_> = (0..100u32)
        .map(|i| s.write(&mut format!("b{i}").as_bytes()).unwrap())
        .collect();
    s.publish(&w).unwrap();
    eprintln!("publish 100 {:?} each", t.elapsed() / 100);
}
#[test]
fn faults() {
    let Some(p) = std::env::var_os("FAULT_DIR") else {
        return;
    };
    let st = StateDir::prepare(std::path::Path::new(&p)).unwrap();
    let lock = st.lock().unwrap();
    let mut j = match Journal::open(&lock) {
        Ok(j) => j,
        Err(e) => {
            eprintln!("OPEN: {e}");
            return;
        }
    };
    let ph = PhaseId::new(1, "a").unwrap();
    let run = match j.latest_run(None).unwrap() {
        Some(r) => r.run,
        None => {
            let run = j.next_run_id(&ph).unwrap();
            if let Err(e) = j.begin_run(
                &NewRun {
                    run: &run,
                    phase: &ph,
                    plan_digest: Digest::of(b""),
                    plan: "{}",
                    started_at: 0,
                },
                &[],
            ) {
                eprintln!("BEGIN: {e}");
                return;
            }
            run
        }
    };
    let mut acked = j.run(&run).unwrap().unwrap().events;
    for i in 0..20 {
        match j.append(
            &run,
            &[NewEvent {
                at: i,
                kind: "k",
                task: None,
                body: "{}".into(),
            }],
        ) {
            Ok(r) => acked = r.end,
            Err(e) => {
                eprintln!("APPEND {i}: {e}");
                let e2 = j.append(&run, &[]).unwrap_err();
                assert!(matches!(e2, Error::Abandoned { .. }));
                match j.reopen() {
                    Ok(()) => {}
                    Err(e) => {
                        eprintln!("REOPEN: {e}");
                        break;
                    }
                }
                let n = j.run(&run).unwrap().unwrap().events;
                eprintln!("after reopen: acked {acked}, there {n}");
                assert!(n >= acked);
                acked = n;
                j.events(&run).unwrap();
            }
        }
    }
    if let Err(e) = write_state(&st, "{}") {
        eprintln!("STATE: {e}");
    }
    let s = BlobStore::new(&st).unwrap();
    match s.keep(&mut &b"abc"[..]) {
        Ok(_) => {}
        Err(e) => eprintln!("KEEP {:?}: {e}", e.kind()),
    }
    eprintln!("acked {acked}");
}
