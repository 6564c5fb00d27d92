#![expect(clippy::disallowed_methods, reason = "these tests write configuration files")]

use clap::Parser;

use super::settings::{Size, Uids};
use super::*;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn settings(flags: &[&str]) -> Settings {
    Flags::try_parse_from(["serve"].iter().chain(flags)).unwrap().settings
}

fn config(flags: &[&str]) -> anyhow::Result<Config> {
    Config::new(settings(flags))
}

fn check_refused(flags: &[&str], hint: &str) {
    let error = config(flags).unwrap_err().to_string();
    assert!(error.contains(hint), "{flags:?}: {error}");
}

#[test]
fn without_flags_the_server_is_durable_and_local() {
    let config = config(&[]).unwrap();
    assert_eq!(config.storage, Storage::Folder("millstream-data".into()));
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
}

#[test]
fn contradictions_and_dangers_are_refused_with_a_hint() {
    check_refused(&["--ephemeral", "--data-dir", "x"], "leave one out");
    check_refused(&["--auth", "enforce"], "--auth open");
    check_refused(&["--clock", "virtual"], "needs --ephemeral");
    check_refused(&["--clock-start", "2026-01-01T00:00:00Z", "--ephemeral"], "--clock virtual");
    assert_eq!(config(&["--clock", "virtual", "--ephemeral"]).unwrap().clock, Clock::Virtual);
    check_refused(&["--listen", "0.0.0.0:4566"], "--allow-open-network");
    assert!(config(&["--listen", "0.0.0.0:4566", "--allow-open-network"]).is_ok());
    assert!(config(&["--listen", "[::1]:0", "--ephemeral=true"]).is_ok());
}

#[test]
fn ranges_of_user_ids_never_hold_root() {
    for (text, valid) in [("700000-700999", true), ("5-5", true), ("0-5", false), ("9-5", false), ("x", false)] {
        assert_eq!(text.parse::<Uids>().is_ok(), valid, "{text}");
    }
}

#[test]
fn sizes_have_binary_units() {
    for (text, bytes) in [("0", 0), ("1024", 1024), ("3KiB", 3072), ("2 GiB", 2 << 30)] {
        assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "GiB", "1.5GiB", "-1", "1GB", "99999999999TiB"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

fn with_file(content: &str, flags: &[&str]) -> anyhow::Result<Settings> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("millstream.toml");
    std::fs::write(&path, content).unwrap();
    settings(&[&["--config", path.to_str().unwrap()], flags].concat()).with_file()
}

#[test]
fn the_file_says_the_same_as_the_flags_and_comes_after_them() {
    let content = "data-dir = '/srv/mill'\nlisten = '127.0.0.1:1'\nallow-origin = ['https://a.example']\n\
                   isolation = 'none'\nfunction-uids = '10-20'\nlog-format = 'json'\nstrict-runtimes = true\nshard-limits = 'aws'\n";
    let settings = with_file(content, &["--listen", "127.0.0.1:2"]).unwrap();
    assert_eq!(settings.listen.unwrap().port(), 2);
    let config = Config::new(settings).unwrap();
    assert_eq!(config.storage, Storage::Folder("/srv/mill".into()));
    assert_eq!(config.allow_origins, ["https://a.example"]);
    assert_eq!((config.isolation, config.function_uids), (Isolation::None, Some(10..=20)));
    assert!(config.strict_runtimes);
    assert_eq!(config.shard_limits, ShardLimits::Aws);
    let settings = with_file(content, &["--ephemeral"]).unwrap();
    assert_eq!(Config::new(settings).unwrap().storage, Storage::Memory);
}

#[test]
fn unknown_keys_and_variables_are_errors() {
    let error = format!("{:#}", with_file("data_dir = 'x'", &[]).unwrap_err());
    assert!(error.contains("unknown field `data_dir`"), "{error}");
    let known = ["MILLSTREAM_LISTEN".to_owned()];
    let present = |name: &str| [name.to_owned(), "HOME".to_owned()];
    assert!(refuse_unknown_variables(&known, present("MILLSTREAM_LISTEN")).is_ok());
    let error = refuse_unknown_variables(&known, present("MILLSTREAM_LISTNE")).unwrap_err().to_string();
    assert!(error.contains("MILLSTREAM_LISTNE"), "{error}");
}
