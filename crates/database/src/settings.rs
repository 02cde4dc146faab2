//! Reads the environment variables that say where Postgres is; docs/settings.md lists them.
//!
//! Checks the port only: `address` checks the rest at the first connection.

use handler::{AppEnv, Failure, Kind, Variables};
use std::path::PathBuf;

/// Where Postgres is and as whom to connect: `DATABASE_URL`, or the `DB_*` parts in its place.
#[derive(Clone, Default)]
pub struct Settings {
    /// `DATABASE_URL`; used as it is, and the parts are ignored.
    pub(crate) url: Option<String>,
    /// `DB_HOST`.
    pub(crate) host: Option<String>,
    /// `DB_PORT`; the driver uses 5432 when it is absent.
    pub(crate) port: Option<u16>,
    /// `DB_USER`.
    pub(crate) user: Option<String>,
    /// `DB_PASS`.
    pub(crate) password: Option<String>,
    /// `DB_NAME`, an underscore and `APP_ENV`.
    pub(crate) name: Option<String>,
    /// `DB_SSLROOTCERT`: a PEM file of certificates to trust besides the public ones.
    pub(crate) root_certificates: Option<PathBuf>,
}

impl Settings {
    /// Reads the variables. An invalid address is refused by the first connection, because not
    /// every event needs one.
    ///
    /// # Errors
    /// `Function.InvalidSettings` when a variable is not UTF-8, or `DB_PORT` is not a port.
    pub fn read(variables: &Variables, app_env: AppEnv) -> Result<Settings, Failure> {
        let text = |name| Ok::<_, Failure>(variables.get(name)?.map(str::to_string));
        let name = variables.get("DB_NAME")?;
        Ok(Settings {
            url: text("DATABASE_URL")?,
            host: text("DB_HOST")?,
            port: variables.get("DB_PORT")?.map(port).transpose()?,
            user: text("DB_USER")?,
            password: text("DB_PASS")?,
            name: name.map(|name| format!("{name}_{}", app_env.name())),
            root_certificates: variables.get("DB_SSLROOTCERT")?.map(PathBuf::from),
        })
    }
}

fn port(text: &str) -> Result<u16, Failure> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        Failure::new(
            Kind::InvalidSettings,
            format!("failed to read DB_PORT `{text}`: set it to a number from 1 to 65535"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_name_ends_with_the_environment() {
        let variables = Variables::from_iter([("DB_NAME", "shop")]);
        let settings = Settings::read(&variables, AppEnv::Production).expect("valid");
        assert_eq!(settings.name.as_deref(), Some("shop_production"));
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        let read = |port| {
            let variables = Variables::from_iter([("DB_PORT", port)]);
            Settings::read(&variables, AppEnv::Lambda)
        };
        assert_eq!(read("6432").expect("it is one").port, Some(6432));
        for port in ["0", "65536", "-1", "5432 ", "postgres"] {
            let failure = read(port).err().expect("it is none").to_string();
            let expected = format!("failed to read DB_PORT `{port}`");
            assert!(failure.starts_with(&expected), "{failure}");
        }
    }
}
