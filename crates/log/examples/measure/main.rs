//! Prints what the log costs on this machine:
//! `cargo run --release -p millstream-log --example measure -- [write|encrypted|cold|share|expiry|lone]... [--folder FOLDER] [--gib GIB]
//! [--shards 10000|256]`.
//!
//! - `write`: 1, 8 and 64 writers put batches of 500 records of 1 KiB, given as base64, over 256 shards for some seconds.
//! - `encrypted`: the same with everything encrypted.
//! - `cold`: fills a log, closes and opens it, and reads what is in no cache: one shard among 10,000, then all of 256
//!   shards by 256 readers.
//! - `share`: writers alone and beside readers of old records, in turns.
//! - `expiry`: half of a log expires.
//! - `lone`: one writer puts one record at a time, beside a bare write and fdatasync of the same size.
//!
//! The figures include making the load. Not a test: nothing depends on them.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod cold;
mod encrypted;
mod expiry;
mod lone;
mod share;
mod support;
mod write;

use support::Folder;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut what, mut folder, mut gib, mut shards) = (Vec::new(), None, 4, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--folder" => folder = arguments.next(),
            "--gib" => gib = arguments.next().and_then(|text| text.parse().ok()).expect("--gib takes a number"),
            "--shards" => shards = arguments.next().and_then(|text| text.parse().ok()),
            _ => what.push(argument),
        }
    }
    let wanted = |name: &str| what.is_empty() || what.iter().any(|one| one == name);
    let folder = Folder(folder);
    for writers in [1, 8, 64] {
        if wanted("write") {
            write::measure(&folder, writers, |log| log).await;
        }
        if wanted("encrypted") {
            write::measure(&folder, writers, encrypted::around).await;
        }
    }
    if wanted("cold") {
        cold::measure(&folder, gib, shards).await;
    }
    if wanted("share") {
        share::measure(&folder, gib).await;
    }
    if wanted("expiry") {
        expiry::measure(&folder, gib).await;
    }
    if wanted("lone") {
        lone::measure(&folder).await;
    }
}
