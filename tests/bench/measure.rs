//! Measures one start of one candidate by the clock and by /proc. Knows no statistics.

use crate::Result;
use crate::api::{Api, Request};
use crate::candidate::Candidate;
use crate::machine::{Machine, Mode};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variables that Lambda sets for every function.
const LAMBDA: [(&str, &str); 10] = [
    ("_HANDLER", "http"),
    ("SECRET_KEY_BASE", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
    ("LAMBDA_TASK_ROOT", "/var/task"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_LAMBDA_FUNCTION_NAME", "web"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/web"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
];

/// The pause after which a process that waits, or has sent its second `/next`, uses no more CPU.
const REST: Duration = Duration::from_millis(1);

/// The pause before every start; for a limited CPU more than two periods, so that the start begins with a
/// full quota.
const FRESH: Duration = Duration::from_millis(1);
const FRESH_LIMITED: Duration = Duration::from_millis(41);

/// Invocations before the timed warm ones.
const WARM_UP: usize = 200;

/// One cold start.
pub(crate) struct Start {
    /// From just before the program is executed to its first `/next`, in milliseconds.
    pub next_ms: f64,
    /// From just before the program is executed to its first response, in milliseconds.
    pub response_ms: f64,
    /// CPU time of all threads until the second `/next`, in milliseconds.
    pub cpu_ms: f64,
    /// Minor page faults until the second `/next`.
    pub faults: f64,
    /// The largest resident memory.
    pub peak_kib: f64,
    /// Threads after the second `/next`.
    pub threads: f64,
    /// The size of the first response.
    pub response_bytes: usize,
}

/// Many invocations of one process.
pub(crate) struct Warm {
    /// The times from the first byte of an event to the last byte of its response, in microseconds.
    pub us: Vec<f64>,
    /// Invocations per second.
    pub rate: f64,
    /// The resident memory that further invocations added; `None` when there were none.
    pub growth_kib: Option<f64>,
}

/// The CPU time and the page faults of a process.
struct Usage {
    cpu_ms: f64,
    faults: f64,
}

/// A running candidate; killed when dropped.
struct Running {
    api: Api,
    child: Child,
    started: Instant,
    /// The usage of `launch`, before it executed the candidate.
    before: Usage,
}

/// Starts a candidate, invokes it once, and kills it.
pub(crate) fn start(
    machine: &Machine,
    candidate: &Candidate,
    event: &str,
    log: &Path,
) -> Result<Start> {
    let mut running = Running::start(machine, candidate, log)?;
    let next = running.api.await_next()?;
    let response = running.api.invoke(&next, event)?;
    running.api.confirm(&response)?;
    running.api.await_next()?;
    thread::sleep(REST);
    let used = usage(running.child.id())?;
    Ok(Start {
        next_ms: ms(next.at - running.started),
        response_ms: ms(response.at - running.started),
        cpu_ms: used.cpu_ms - running.before.cpu_ms,
        faults: used.faults - running.before.faults,
        peak_kib: status(running.child.id(), "VmHWM")?,
        threads: status(running.child.id(), "Threads")?,
        response_bytes: response.call.size(),
    })
}

/// Starts a candidate and invokes it many times.
pub(crate) fn warm(
    machine: &Machine,
    candidate: &Candidate,
    event: &str,
    log: &Path,
    (timed, more): (usize, usize),
) -> Result<Warm> {
    let mut running = Running::start(machine, candidate, log)?;
    let mut next = running.api.await_next()?;
    for _ in 0..WARM_UP {
        (next, _) = running.invoke(&next, event)?;
    }
    let began = Instant::now();
    let mut us = Vec::with_capacity(timed);
    for _ in 0..timed {
        let took;
        (next, took) = running.invoke(&next, event)?;
        us.push(ms(took) * 1000.0);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of invocations is small"
    )]
    let rate = timed as f64 / began.elapsed().as_secs_f64();
    let before = status(running.child.id(), "VmRSS")?;
    for _ in 0..more {
        (next, _) = running.invoke(&next, event)?;
    }
    let growth = status(running.child.id(), "VmRSS")? - before;
    Ok(Warm {
        us,
        rate,
        growth_kib: (more > 0).then_some(growth),
    })
}

/// Counts the system calls until the first response is sent; `None` without `strace`.
pub(crate) fn system_calls(
    candidate: &Candidate,
    event: &str,
    dir: &Path,
) -> Result<Option<usize>> {
    let trace = dir.join("strace.txt");
    let mut api = Api::listen()?;
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "16", "-o"]).arg(&trace);
    command.arg(&candidate.program);
    tell(&mut command, candidate, &api, &dir.join("strace.log"))?;
    let Ok(mut strace) = command.spawn() else {
        return Ok(None);
    };
    let next = api.await_next()?;
    let response = api.invoke(&next, event)?;
    api.confirm(&response)?;
    api.await_next()?;
    // The traced program ends when its API is gone, or is killed.
    drop(api);
    let pid = strace.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        let child =
            rustix::process::Pid::from_raw(child.parse()?).ok_or("there is no process 0")?;
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
    strace.wait()?;
    let trace = fs::read_to_string(&trace)?;
    let calls = trace.lines().filter(|line| {
        !line.contains("resumed>") && !line.contains(" --- ") && !line.contains(" +++ ")
    });
    let sent = calls.clone().position(|line| line.contains("\"POST /2018"));
    Ok(sent.map(|index| index + 1))
}

impl Running {
    /// Starts `launch` on the candidate's CPU, waits until it is idle, and lets it execute the candidate.
    fn start(machine: &Machine, candidate: &Candidate, log: &Path) -> Result<Running> {
        let api = Api::listen()?;
        let mut command = Command::new(&candidate.launcher);
        command.arg(&candidate.program);
        tell(&mut command, candidate, &api, log)?;
        command.stdin(Stdio::piped());
        let mut child = machine.beside(|| command.spawn())??;
        machine.limit(child.id())?;
        machine.forget_files()?;
        await_launch(machine, child.id())?;
        let before = usage(child.id())?;
        let mut gate = child.stdin.take().expect("it is piped");
        let started = Instant::now();
        gate.write_all(b"\n")?;
        Ok(Running {
            api,
            child,
            started,
            before,
        })
    }

    /// Answers a `/next`; returns the following `/next` and the time that the response took.
    fn invoke(&mut self, next: &Request, event: &str) -> Result<(Request, Duration)> {
        let began = Instant::now();
        let response = self.api.invoke(next, event)?;
        self.api.confirm(&response)?;
        Ok((self.api.await_next()?, response.at - began))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `launch` is idle. Sleeps in short steps: a CPU is slower after a long idle time, and a
/// process that spins on a shared CPU gets less of it afterwards.
fn await_launch(machine: &Machine, pid: u32) -> Result<()> {
    let fresh = match machine.mode {
        Mode::Small => FRESH_LIMITED,
        _ => FRESH,
    };
    let began = Instant::now();
    let stat = format!("/proc/{pid}/stat");
    while began.elapsed() < fresh || !fs::read_to_string(&stat)?.contains("(launch) S") {
        thread::sleep(REST);
    }
    Ok(())
}

fn tell(command: &mut Command, candidate: &Candidate, api: &Api, log: &Path) -> Result<()> {
    let log = File::create(log)?;
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("AWS_LAMBDA_RUNTIME_API", api.address()?.to_string())
        .envs(LAMBDA)
        .envs(
            candidate
                .variables
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(())
}

fn usage(pid: u32) -> Result<Usage> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let on_cpu = text.split(' ').next().ok_or("an empty schedstat")?;
        nanoseconds += on_cpu.parse::<f64>()?;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; minor faults are the eighth field after it.
    let (_, fields) = stat.rsplit_once(") ").ok_or("a strange stat")?;
    let faults = fields.split(' ').nth(7).ok_or("a short stat")?;
    Ok(Usage {
        cpu_ms: nanoseconds / 1e6,
        faults: faults.parse()?,
    })
}

/// Returns a number of /proc/PID/status.
fn status(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    // Some kernels do not print the resident memory.
    let Some((_, value)) = lines.find(|(known, _)| *known == name) else {
        return Ok(f64::NAN);
    };
    let number = value.split_whitespace().next().ok_or("an empty status")?;
    Ok(number.parse()?)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
