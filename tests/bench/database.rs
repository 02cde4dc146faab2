//! The database of the pages: a private Postgres with the project's migrations, TLS and SCRAM, and a
//! proxy that makes it seem asleep. Knows no candidate.

use crate::Result;
use crate::machine::Machine;
use postgres::{Client, NoTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a sleeping database takes to wake up; often so with Neon.
const WAKING: Duration = Duration::from_millis(500);

/// The events for `bootstrap migrate` that make and fill the tables.
const ACTIONS: [&str; 2] = [r#"{"action":"migrate"}"#, r#"{"action":"seed"}"#];

/// A running server.
pub(crate) struct Database {
    /// `postgres://user:password@`
    user: String,
    port: u16,
    authority: PathBuf,
    migrations: String,
    server: Child,
}

/// A proxy in front of the server that forwards nothing until the server is awake.
pub(crate) struct Sleeper {
    /// The port of the proxy.
    pub port: u16,
    awake_at: Arc<Mutex<Option<Instant>>>,
}

impl Database {
    /// Starts a server on the other CPU, in a directory that is kept for the next run.
    pub(crate) fn start(machine: &Machine, root: &Path, bootstrap: &Path) -> Result<Database> {
        let local = std::env::var_os("LOCAL").map_or("target/debug/local".into(), PathBuf::from);
        let dir = root.join("target/bench");
        let mut command = Command::new(root.join(local));
        command
            .args(["postgres", "--attached", "--dir"])
            .arg(dir.join("postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = machine.away(|| command.spawn())??;
        let output = server.stdout.take().expect("it is piped");
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        let (user, address) = url.split_once('@').ok_or("no Postgres: run `make bench`")?;
        let (_, port) = address.split_once(':').ok_or("a URL without a port")?;
        let (port, _) = port.split_once('/').ok_or("a URL without a database")?;
        let database = Database {
            user: format!("{user}@"),
            port: port.parse()?,
            authority: dir.join("authority.pem"),
            migrations: root.join("migrations").display().to_string(),
            server,
        };
        database.secure()?;
        database.fill(bootstrap)?;
        Ok(database)
    }

    /// Returns the variables that lead a candidate to the database; `port` is that of a proxy.
    pub(crate) fn variables(&self, port: Option<u16>) -> Vec<(&'static str, String)> {
        let port = port.unwrap_or(self.port);
        let url = format!("{}localhost:{port}/bench?sslmode=require", self.user);
        let authority = self.authority.display().to_string();
        vec![
            ("DATABASE_URL", url),
            ("DB_SSLROOTCERT", authority),
            ("MIGRATIONS_DIR", self.migrations.clone()),
        ]
    }

    /// Starts a proxy to the server on the other CPU.
    pub(crate) fn sleeper(&self, machine: &Machine) -> Result<Sleeper> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sleeper = Sleeper {
            port: listener.local_addr()?.port(),
            awake_at: Arc::default(),
        };
        let (awake_at, server) = (Arc::clone(&sleeper.awake_at), self.port);
        machine.away(|| thread::spawn(move || serve(&listener, server, &awake_at)))?;
        Ok(sleeper)
    }

    /// Creates an empty database, in place of one with the same name; returns its address without TLS.
    pub(crate) fn fresh(&self, name: &str) -> Result<String> {
        let mut admin = self.admin("postgres")?;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        admin.batch_execute(&format!("CREATE DATABASE {name}"))?;
        admin.batch_execute("CHECKPOINT")?;
        let (user, port) = (&self.user, self.port);
        Ok(format!("{user}127.0.0.1:{port}/{name}?sslmode=disable"))
    }

    /// Counts the tables in `public` whose name matches a pattern of LIKE.
    pub(crate) fn tables(&self, database: &str, like: &str) -> Result<usize> {
        let query =
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE $1";
        let count: i64 = self.admin(database)?.query_one(query, &[&like])?.get(0);
        Ok(usize::try_from(count)?)
    }

    /// Returns the path of the `psql` that belongs to the server.
    pub(crate) fn psql(&self) -> Result<PathBuf> {
        let query = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let dir: String = self.admin("postgres")?.query_one(query, &[])?.get(0);
        let path = Path::new(&dir).join("psql");
        match path.exists() {
            true => Ok(path),
            false => Err(format!(
                "`{}` is missing: apt-get install postgresql-client",
                path.display()
            )
            .into()),
        }
    }

    fn admin(&self, database: &str) -> Result<Client> {
        let url = format!("{}127.0.0.1:{}/{database}", self.user, self.port);
        Ok(Client::connect(&url, NoTls)?)
    }

    /// Gives the server a certificate for `localhost`; writes the certificate of its authority to a file.
    fn secure(&self) -> Result<()> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let server = CertificateParams::new(["localhost".to_string()])?;
        let server = server.signed_by(&key, &authority)?;
        fs::write(&self.authority, authority.pem())?;

        let mut admin = self.admin("postgres")?;
        let dir: String = admin.query_one("SHOW data_directory", &[])?.get(0);
        let owner = fs::metadata(&dir)?;
        for (file, text) in [
            ("server.crt", server.pem()),
            ("server.key", key.serialize_pem()),
        ] {
            let path = Path::new(&dir).join(file);
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        // The directory is kept between runs, and with it the settings that somebody tried there.
        admin.batch_execute("ALTER SYSTEM RESET ALL")?;
        admin.batch_execute("ALTER SYSTEM SET ssl = on")?;
        // Autovacuum would begin in the middle of a round.
        admin.batch_execute("ALTER SYSTEM SET autovacuum = off")?;
        admin.batch_execute("SELECT pg_reload_conf()")?;
        while self
            .admin("postgres")?
            .query_one("SHOW ssl", &[])?
            .get::<_, String>(0)
            != "on"
        {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Makes the database `bench` anew, with the project's migrations and its seed.
    fn fill(&self, bootstrap: &Path) -> Result<()> {
        let mut admin = self.admin("postgres")?;
        admin.batch_execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")?;
        admin.batch_execute("CREATE DATABASE bench")?;
        for action in ACTIONS {
            let output = Command::new(bootstrap)
                .args(["migrate", action])
                .envs(self.variables(None))
                .output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("failed to fill the database: {said}").into());
            }
        }
        let mut admin = self.admin("bench")?;
        admin.batch_execute("VACUUM ANALYZE")?;
        admin.batch_execute("CHECKPOINT")?;
        rustix::fs::sync();
        Ok(())
    }
}

impl Drop for Database {
    /// Closes the server's standard input, at whose end an attached server stops.
    fn drop(&mut self) {
        self.server.stdin = None;
        let _ = self.server.wait();
    }
}

impl Sleeper {
    /// Puts the server to sleep: it wakes up `WAKING` after the next connection.
    pub(crate) fn sleep(&self) {
        *self.awake_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Accepts every connection at once, as Neon's proxy does, and holds its bytes until the server is
/// awake.
fn serve(listener: &TcpListener, server: u16, awake_at: &Mutex<Option<Instant>>) {
    for client in listener.incoming().map_while(Result::ok) {
        let awake_at = *awake_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| Instant::now() + WAKING);
        thread::spawn(move || {
            thread::sleep(awake_at.saturating_duration_since(Instant::now()));
            // A client that did not wait has closed the connection.
            let _ = connect(client, server);
        });
    }
}

fn connect(client: TcpStream, server: u16) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    std::io::copy(&mut from, &mut to)?;
    Ok(to.shutdown(std::net::Shutdown::Both)?)
}
