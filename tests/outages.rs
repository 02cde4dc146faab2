//! What a page answers while the database or the network is out: always something, in time, true,
//! and the page itself as soon as it is over.

mod refusals;
mod room;
mod server;

use crate::support::proxy::{self, Fault, NO_FAULT};
use crate::support::{Answer, Cluster, Database, Local, Person};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The time limit of the functions, in seconds: short, because every silence lasts as long.
const TIMEOUT: u64 = 3;

const LIST: &str = "/tables/public/orders";
const EDIT: &str = "/tables/public/customers/edit/1";

/// An admin behind a proxy, and the number of pieces after which the fault comes.
struct Outage {
    database: Database,
    left: Arc<AtomicUsize>,
    local: Local,
}

impl Outage {
    fn new(fault: fn(Arc<AtomicUsize>) -> Fault) -> Outage {
        let database = Database::new();
        let left = Arc::new(AtomicUsize::new(NO_FAULT));
        let port = proxy::start(database.port(), fault(Arc::clone(&left)));
        let local = Local::with(&database)
            .env("DATABASE_URL", &database.url_at(port))
            .args(["--timeout", &TIMEOUT.to_string()])
            .start();
        Outage {
            database,
            left,
            local,
        }
    }

    fn after(&self, pieces: usize) {
        self.left.store(pieces, Ordering::Relaxed);
    }

    /// How many pieces something sends.
    fn pieces(&self, run: impl FnOnce()) -> usize {
        const MANY: usize = 1000;
        self.after(MANY);
        run();
        MANY - self.left.swap(NO_FAULT, Ordering::Relaxed)
    }

    fn name(&self) -> String {
        name(&self.database)
    }
}

fn name(database: &Database) -> String {
    let query = "SELECT name FROM customers WHERE id = 1";
    let row = database.client().query_one(query, &[]);
    row.expect("it is seeded").get(0)
}

/// Saves another name; the fields are those of the form, as a browser sends them.
fn rename(person: &Person, name: &str) -> Answer {
    let version = person.get(EDIT).field("version");
    save(person, &version, name)
}

fn save(person: &Person, version: &str, name: &str) -> Answer {
    person.post(EDIT, &[("version", version), ("v:name", name)])
}

/// Returns a text of letters that Postgres cannot compress by half; the same each time.
fn letters(length: usize) -> String {
    let mut seed = 1_u32;
    let letter = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (seed >> 24) as u8 % 26)
    };
    (0..length).map(letter).collect()
}

/// Holds an answer against the clock, which `local` ends with the environment.
#[track_caller]
fn in_time<T>(run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let answer = run();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(TIMEOUT), "it took {took:?}");
    answer
}

#[test]
fn a_list_is_answered_in_time_whichever_message_the_network_swallows() {
    let outage = Outage::new(Fault::SilentAfter);
    let person = outage.local.workshop();
    person.get(LIST);
    let pieces = outage.pieces(|| assert_eq!(person.get(LIST).status, 200));
    println!("a list is {pieces} pieces");
    let environments = outage.local.environments();
    assert!((3..=7).contains(&pieces), "{pieces} round trips");
    for at in 0..pieces {
        outage.after(at);
        let answer = in_time(|| person.get(LIST));
        // The last message only ends the transaction.
        let expected = if at + 1 == pieces { 200 } else { 503 };
        assert_eq!(answer.status, expected, "piece {at}: {}", answer.body);
        outage.after(NO_FAULT);
        assert_eq!(person.get(LIST).status, 200, "after piece {at}");
    }
    assert_eq!(outage.local.environments(), environments, "none was killed");
}

#[test]
fn a_change_is_answered_in_time_and_in_truth_whichever_message_the_network_swallows() {
    let outage = Outage::new(Fault::SilentAfter);
    let person = outage.local.workshop();
    assert_eq!(rename(&person, "Before").status, 303);
    let version = person.get(EDIT).field("version");
    let pieces = outage.pieces(|| assert_eq!(save(&person, &version, "After").status, 303));
    println!("a change is {pieces} pieces");
    for at in 0..pieces {
        let version = person.get(EDIT).field("version");
        outage.after(at);
        let answer = in_time(|| save(&person, &version, &format!("Lost {at}")));
        assert_eq!(answer.status, 503, "piece {at}: {}", answer.body);
        let said = match at + 1 == pieces {
            true => "It is not known whether this was saved",
            false => "Nothing was saved",
        };
        assert!(answer.body.contains(said), "piece {at}: {}", answer.body);
        outage.after(NO_FAULT);
        assert_eq!(outage.name(), "After");
    }
    assert_eq!(rename(&person, "Last").status, 303);
}

#[test]
fn a_list_is_answered_unseen_whichever_message_the_connection_is_cut_at() {
    let outage = Outage::new(Fault::CutOnceAfter);
    let person = outage.local.workshop();
    for path in [LIST, EDIT, "/"] {
        person.get(path);
        let pieces = outage.pieces(|| assert_eq!(person.get(path).status, 200));
        for at in 0..pieces {
            outage.after(at);
            let answer = person.get(path);
            assert_eq!(answer.status, 200, "{path}, piece {at}: {}", answer.body);
        }
    }
    outage.local.expect_database();
    outage.after(0);
    outage.local.expect_database();
}

#[test]
fn a_change_is_saved_or_said_to_be_lost_whichever_message_the_connection_is_cut_at() {
    let outage = Outage::new(Fault::CutOnceAfter);
    let person = outage.local.workshop();
    assert_eq!(rename(&person, "Before").status, 303);
    let version = person.get(EDIT).field("version");
    let pieces = outage.pieces(|| assert_eq!(save(&person, &version, "After").status, 303));
    for at in 0..pieces {
        let version = person.get(EDIT).field("version");
        let (old, new) = (outage.name(), format!("Cut {at}"));
        outage.after(at);
        let answer = save(&person, &version, &new);
        outage.after(NO_FAULT);
        // The session is asked for, and the transaction begins: neither has changed anything.
        let expected = match at {
            0 | 1 => (303, new),
            _ => (503, old),
        };
        assert_eq!((answer.status, outage.name()), expected, "piece {at}");
        let said = match at + 1 == pieces {
            true => "It is not known whether this was saved",
            false => "Nothing was saved",
        };
        let is_said = at < 2 || answer.body.contains(said);
        assert!(is_said, "piece {at}: {}", answer.body);
    }
}

#[test]
fn a_commit_that_was_done_and_not_answered_is_not_called_lost() {
    let database = Database::new();
    let port = proxy::start(database.port(), Fault::CutAfter("COMMIT\0"));
    let direct = Local::start(&database);
    direct.workshop();
    drop(direct);
    let local = Local::with(&database)
        .env("DATABASE_URL", &database.url_at(port))
        .start();
    let event = r#"{"action":"user","email":"ada@example.com","role":"viewer"}"#;
    let error = local.invoke("migrations", event).expect_err("it was cut");
    assert_eq!(error["errorType"], "Function.CommitInDoubt", "{error}");
}

#[test]
fn terminated_sessions_are_replaced_unseen() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    let terminate = || {
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = $1 AND application_name = 'plain-lambda'";
        let mut admin = Cluster::get().admin();
        let row = admin.query_one(statement, &[&database.name()]);
        assert!(row.expect("it may").get::<_, i64>(0) > 0);
    };
    for path in [LIST, "/", "/up?db", "/sign-in/void"] {
        person.get(path);
        terminate();
        assert!(person.get(path).status < 500, "{path}");
    }
    let version = person.get(EDIT).field("version");
    terminate();
    assert_eq!(save(&person, &version, "Kept").status, 303);
    assert_eq!(name(&database), "Kept");
    let again = [("email", "admin@example.com"), ("password", "wrong")];
    terminate();
    assert_eq!(person.post("/sign-in", &again).status, 422);
}

#[test]
fn all_statements_of_a_page_share_its_time() {
    let database = Database::new();
    let local = Local::with(&database)
        .args(["--timeout", &TIMEOUT.to_string()])
        .start();
    let person = local.workshop();
    // Each of the two is shorter than the time, and both are longer.
    let slow = "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(1.7); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON customers EXECUTE FUNCTION slowly();
        CREATE TRIGGER slow BEFORE INSERT ON plain_lambda.audit EXECUTE FUNCTION slowly();";
    database.client().batch_execute(slow).expect("it may");
    let (before, version) = (name(&database), person.get(EDIT).field("version"));
    let answer = in_time(|| save(&person, &version, "Late"));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("took too long"), "{}", answer.body);
    assert_eq!(name(&database), before);
    assert_eq!(person.get(LIST).status, 200);
}
