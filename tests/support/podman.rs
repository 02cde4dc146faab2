//! Runs podman with the configuration that `tests/tools/podman.sh` wrote. Knows nothing of the image.

use super::Part;
use std::process::Command;

/// Returns a command that runs podman with arguments.
pub(crate) fn podman(arguments: &[&str]) -> Command {
    let mut command = Command::new("podman");
    configure(&mut command, "run.conf");
    command.args(arguments);
    command
}

/// Configures a command that builds with podman: the builder uses this machine's compilers.
pub(crate) fn be_known_to(command: &mut Command) {
    configure(command, "build.conf");
    command.env("BUILDAH_ISOLATION", "chroot");
}

fn configure(command: &mut Command, configuration: &str) {
    let podman = Part::Podman.path();
    command
        .env("CONTAINERS_CONF", podman.join(configuration))
        .env("CONTAINERS_STORAGE_CONF", podman.join("storage.conf"))
        // In another locale, conmon accepts only paths in ASCII.
        .env("LC_ALL", "C.UTF-8");
}
