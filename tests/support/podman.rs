//! podman as `tests/tools/podman.sh` prepared it. Knows nothing of what the image holds.

use super::Part;
use std::process::Command;

/// `podman` with arguments.
pub fn podman(arguments: &[&str]) -> Command {
    let mut command = Command::new("podman");
    configure(&mut command, "run.conf");
    command.args(arguments);
    command
}

/// Has a command build with podman: the builder borrows this machine's compilers.
pub fn be_known_to(command: &mut Command) {
    configure(command, "build.conf");
    command.env("BUILDAH_ISOLATION", "chroot");
}

fn configure(command: &mut Command, configuration: &str) {
    let podman = Part::Podman.path();
    command
        .env("CONTAINERS_CONF", podman.join(configuration))
        .env("CONTAINERS_STORAGE_CONF", podman.join("storage.conf"))
        // conmon takes no path beyond ASCII in another locale.
        .env("LC_ALL", "C.UTF-8");
}
