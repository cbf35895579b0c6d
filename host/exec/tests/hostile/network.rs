//! Whom a command can talk to: nobody, or itself.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use idumb_exec::{Command, Guards, Network};

use crate::support::{ALL, Ground, python};

const OPEN: Guards = Guards { network: false, seccomp: false, landlock: false, ..ALL };

fn looped(mut command: Command) -> Command {
    command.network = Network::Loopback;
    command
}

#[test]
fn the_hosts_loopback_is_not_reached() {
    let ground = Ground::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let attack = format!("attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 5))");
    ground.refuses(&python(&attack), OPEN);
    // Each wall is enough.
    for guards in [
        Guards { network: true, ..OPEN },
        Guards { seccomp: true, ..OPEN },
        Guards { landlock: true, ..OPEN },
    ] {
        assert!(!ground.succeeds(guards, &python(&attack)), "{guards:?}");
    }
    // Where loopback is allowed, it is another one.
    ground.refuses(&looped(python(&attack)), OPEN);
}

#[test]
fn nothing_else_is_there_either() {
    let ground = Ground::new();
    let attack = python(
        "
sock = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
# Sends nothing: it asks whether there is a way.
attempt(lambda: sock.connect(('192.0.2.1', 9)))
",
    );
    assert!(!ground.succeeds(ALL, &attack));
    assert!(!ground.succeeds(ALL, &looped(attack)));
    let interfaces = python("print([name for _, name in socket.if_nameindex()])");
    let seen = ground.run(ALL, &looped(interfaces));
    assert_eq!(seen.stdout.text(), "['lo']\n", "{}", seen.stderr.text());
}

#[test]
fn its_own_loopback_is_up() {
    let ground = Ground::new();
    let talk = looped(python(
        "
for family, address in [(socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')]:
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2], 5)
    client.sendall(b'word')
    assert server.accept()[0].recv(4) == b'word'
assert socket.getaddrinfo('localhost', 80)
one, two = socket.socketpair()
one.send(b'x')
assert two.recv(1) == b'x'
",
    ));
    let ran = ground.run(ALL, &talk);
    assert!(ran.succeeded(), "{}", ran.stderr.text());
}

#[test]
fn the_hosts_unix_sockets_are_not_reached() {
    let ground = Ground::new();
    let name = format!("idumb-exec-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let _abstract = UnixListener::bind_addr(&address).expect("a socket");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _named = UnixListener::bind(&path).expect("a socket");
    let attack = |address: &str| {
        python(&format!(
            "
sock = socket.socket(socket.AF_UNIX)
attempt(lambda: sock.connect('{address}'))
"
        ))
    };
    let to_abstract = attack(&format!("\\0{name}"));
    ground.refuses(&to_abstract, Guards { network: false, landlock: false, ..ALL });
    assert!(!ground.succeeds(Guards { network: false, ..ALL }, &to_abstract));
    assert!(!ground.succeeds(Guards { landlock: false, ..ALL }, &to_abstract));
    assert!(!ground.succeeds(ALL, &attack(&path.display().to_string())));
    let seen = Guards { mounts: false, landlock: false, ..ALL };
    assert!(ground.succeeds(seen, &attack(&format!("/host{}", path.display()))));
}

#[test]
fn families_that_nobody_needs_are_not_there() {
    let ground = Ground::new();
    let attack = python(
        "
unix, inet, inet6 = 1, 2, 10
allowed = {unix, inet, inet6}
made = []
for family in range(64):
    for kind in (1, 2, 3, 5):
        for protocol in (0, 1, 16):
            try:
                socket.socket(family, kind, protocol).close()
                made.append((family, kind, protocol))
            except OSError:
                pass
print(made, file=sys.stderr)
strange = [it for it in made if it[0] not in allowed and it != (16, 2, 0) and it != (16, 3, 0)]
strange or refused(made)
",
    );
    // At least netlink's many protocols are there, without a filter.
    ground.refuses(&looped(attack), Guards { seccomp: false, ..ALL });
    let none = python(
        "
for family in range(2, 64):
    try:
        socket.socket(family, socket.SOCK_DGRAM)
        os._exit(0)
    except OSError:
        pass
refused('none')
",
    );
    ground.refuses(&none, Guards { seccomp: false, ..ALL });
}
