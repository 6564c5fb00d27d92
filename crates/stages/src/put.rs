//! The stages of a `PutRecords` request: each alone, and all as one.

use std::sync::Arc;

use anyhow::Context as _;
use millstream_env::Random;
use millstream_gateway::body::{Budget, receive};
use millstream_iam::{ConditionContext, RequestParts};
use millstream_log::{Entry, SharedLog};
use millstream_streams::{Shard, Stream};
use millstream_types::HashKey;
use millstream_wire::direct::{Format, PutEntry, PutResult, put_records};

use crate::load::{PutRequest, RECORD_BYTES, RECORDS};
use crate::record::{Mark, Recorder};
use crate::services::World;

/// As many as the targets of the design are given for.
pub const SHARDS: u32 = 256;
const BODY_BYTES_MAX: usize = 20 << 20;

/// One form of the request, and where it goes.
#[derive(Debug)]
pub struct Put<'w> {
    pub world: &'w World,
    pub stream: Arc<Stream>,
    pub request: PutRequest,
    budget: Budget,
}

impl<'w> Put<'w> {
    pub fn new(world: &'w World, stream: Arc<Stream>, format: Format, random: &Random) -> Self {
        let request = PutRequest::new(&stream.name().name, format, RECORDS, random);
        Self { world, stream, request, budget: Budget::default() }
    }

    fn form(&self) -> &'static str {
        if self.request.format == Format::Json { "json" } else { "cbor" }
    }

    /// Every stage but those of the log, one after the other; `stages` gets their cost.
    pub async fn stages(&self, stages: &mut Recorder) -> anyhow::Result<()> {
        let (form, bytes) = (self.form(), RECORDS * RECORD_BYTES);
        let head = self.request.signed(&self.world.credentials, &self.world.clock)?;
        let pieces = self.request.pieces();

        let mark = Mark::now();
        let received = receive(pieces, BODY_BYTES_MAX, &self.budget, &self.world.clock).await?;
        stages.end(mark, &format!("put {form}: receive, hash"), RECORDS, bytes);

        let mark = Mark::now();
        self.authorize(head.headers(), &received.sha256).await?;
        stages.end(mark, &format!("put {form}: signature, policies"), RECORDS, bytes);

        let mark = Mark::now();
        let input =
            put_records::decode(&received.bytes, self.request.format).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        stages.end(mark, &format!("put {form}: parse"), RECORDS, bytes);

        let mark = Mark::now();
        let shards = route(&self.stream, &input.entries)?;
        stages.end(mark, &format!("put {form}: route"), RECORDS, bytes);

        let results: Vec<_> = shards.iter().map(|shard| stored(shard)).collect();
        let mark = Mark::now();
        let answer = put_records::encode(&results, None, self.request.format);
        stages.end(mark, &format!("put {form}: encode"), RECORDS, bytes);
        drop(answer);
        Ok(())
    }

    async fn authorize(&self, headers: &http::HeaderMap, body_sha256: &[u8; 32]) -> anyhow::Result<()> {
        let parts =
            RequestParts { method: "POST", target: "/", headers, authority: None, body_sha256, services: &["kinesis"] };
        let authenticated = self.world.iam.authenticator().authenticate(&parts, self.world.clock.now()).await;
        let authenticated = authenticated.map_err(|error| anyhow::anyhow!("{}", error.message))?;
        anyhow::ensure!(authenticated.verified, "the key is one that was issued");
        let conditions = ConditionContext::new().with("aws:RequestedRegion", authenticated.region.as_str());
        let resource = self.stream.arn().to_string();
        let decision =
            self.world.iam.authorize(&authenticated.caller, "kinesis:PutRecords", &resource, &conditions, None);
        decision.await?.into_result().map_err(|denial| anyhow::anyhow!("{denial}"))
    }

    /// The stages of `log`, called `name` in the report.
    pub async fn store(&self, log: &SharedLog, name: &str, stages: &mut Recorder) -> anyhow::Result<()> {
        let (form, bytes) = (self.form(), RECORDS * RECORD_BYTES);
        let input = put_records::decode(&self.request.body, self.request.format)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let shards = route(&self.stream, &input.entries)?;

        let mark = Mark::now();
        let entries: Vec<Entry<'_>> = input.entries.iter().zip(&shards).map(entry).collect();
        let mut reservation = log.reserve(&entries).await;
        for (slot, entry) in reservation.slots.iter_mut().flatten().zip(&input.entries) {
            slot.fill(entry.data);
        }
        stages.end(mark, &format!("put {form}: reserve, fill ({name})"), RECORDS, bytes);

        let mark = Mark::now();
        let stored = reservation.commit().await;
        stages.end(mark, &format!("put {form}: commit ({name})"), RECORDS, bytes);
        anyhow::ensure!(stored.iter().all(Result::is_ok), "every record is stored");
        Ok(())
    }

    /// The request as the gateway answers it, over the world's log.
    pub async fn whole(&self, stages: &mut Recorder) -> anyhow::Result<()> {
        let head = self.request.signed(&self.world.credentials, &self.world.clock)?;
        let request = head.map(|()| self.request.pieces());
        let mark = Mark::now();
        let answer = self.world.answer(request).await?;
        stages.end(mark, &format!("put {}: whole request", self.form()), RECORDS, RECORDS * RECORD_BYTES);
        drop(answer);
        Ok(())
    }
}

/// The shard of each entry, as `PutRecords` finds it.
fn route<'s>(stream: &'s Stream, entries: &[PutEntry<'_>]) -> anyhow::Result<Vec<&'s Shard>> {
    let shard_of = |entry: &PutEntry<'_>| {
        stream.route(HashKey::of_partition_key(&entry.partition_key)).context("the shards cover the whole space")
    };
    entries.iter().map(shard_of).collect()
}

fn entry<'e>((entry, shard): (&'e PutEntry<'_>, &&Shard)) -> Entry<'e> {
    Entry { shard: shard.key(), partition_key: &entry.partition_key, payload_bytes: entry.data_length, tag: 0 }
}

fn stored(shard: &Shard) -> PutResult {
    PutResult::Stored { shard_id: shard.id(), sequence_number: shard.starting_sequence_number() }
}
