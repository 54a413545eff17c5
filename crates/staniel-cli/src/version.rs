//! `staniel version`.

use crate::args::Version;
use crate::exit::Exit;
use crate::say;

pub(crate) fn version(args: &Version) -> Exit {
    say::out(concat!("staniel ", env!("CARGO_PKG_VERSION"), "\n"));
    if args.build {
        say::out(concat!(
            "commit:    ",
            env!("STANIEL_COMMIT"),
            "\ntarget:    ",
            env!("STANIEL_TARGET"),
            "\nprofile:   ",
            env!("STANIEL_PROFILE"),
            "\ncompiler:  ",
            env!("STANIEL_RUSTC"),
            "\nprotocols: http1, tcp, udp\n",
        ));
    }
    Exit::Fine
}
