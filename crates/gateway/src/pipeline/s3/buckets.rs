//! Operations on buckets, and lists.

use http::StatusCode;
use http::header::HeaderName;
use millstream_destinations::s3::{BucketName, Error, ListQuery, Listing};
use millstream_types::Region;

use super::Request;
use super::configuration::Configuration;
use super::output::{iso, owner_id, quoted, set, shown};
use super::refusal::Refusal;
use super::xml::{self, Document};
use crate::answer::Answer;

const DEFAULT_REGION: &str = "us-east-1";
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

impl Request<'_> {
    pub(super) async fn list_buckets(&self) -> Result<Answer, Refusal> {
        self.require("ListAllMyBuckets", "*").await?;
        let (prefix, region) = (self.query.text("prefix"), self.query.get("bucket-region"));
        let after = self.query.text("continuation-token");
        let lines_max = match self.query.get("max-buckets") {
            None => usize::MAX,
            Some(text) => text.parse().ok().filter(|lines| (1..=10_000).contains(lines)).ok_or_else(|| {
                let bounds = "Argument max-buckets must be an integer between 1 and 10000";
                Refusal::invalid_argument("max-buckets", text, bounds)
            })?,
        };
        let mut listed = self.buckets.list_buckets(self.account()).await?;
        listed.retain(|bucket| {
            bucket.name.starts_with(prefix)
                && &bucket.name[..] > after
                && region.is_none_or(|region| bucket.region == region)
        });
        let more = listed.len() > lines_max;
        listed.truncate(lines_max);
        let mut document = Document::new("ListAllMyBucketsResult");
        document.begin("Owner").text("ID", &owner_id(self.account())).end().begin("Buckets");
        for bucket in &listed {
            document.begin("Bucket").text("Name", &bucket.name).text("CreationDate", &iso(bucket.created_ms));
            document.text("BucketRegion", &bucket.region).end();
        }
        document.end();
        if let Some(last) = listed.last().filter(|_| more) {
            document.text("ContinuationToken", &last.name);
        }
        document.optional("Prefix", self.query.get("prefix"));
        Ok(document.answer(StatusCode::OK))
    }

    pub(super) async fn create_bucket(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let name: BucketName = self.address.bucket.parse().map_err(Refusal::from)?;
        self.require("CreateBucket", &name.arn()).await?;
        let ownership = super::header(self.headers(), "x-amz-object-ownership");
        if ownership.is_some_and(|ownership| ownership != "BucketOwnerEnforced") {
            return Err(Refusal::not_implemented());
        }
        let signed_for = &self.context.scope.region;
        let region = region_of(body, signed_for)?;
        match self.buckets.create_bucket(self.account(), &name, &region).await {
            Ok(()) => {}
            // The oldest region answers so to those who make a bucket again.
            Err(Error::BucketAlreadyOwnedByYou(_)) if region.as_str() == DEFAULT_REGION => {}
            Err(error) => return Err(error.into()),
        }
        let mut answer = Answer::empty(StatusCode::OK);
        set(&mut answer.headers, http::header::LOCATION, &format!("/{name}"));
        Ok(answer)
    }

    pub(super) async fn delete_bucket(&self) -> Result<Answer, Refusal> {
        let name = self.bucket()?;
        self.require("DeleteBucket", &name.arn()).await?;
        self.buckets.delete_bucket(self.account(), &name).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn head_bucket(&self) -> Result<Answer, Refusal> {
        let name = self.bucket()?;
        self.require("ListBucket", &name.arn()).await?;
        let bucket = self.buckets.bucket(self.account(), &name).await?;
        let mut answer = Answer::empty(StatusCode::OK);
        set(&mut answer.headers, BUCKET_REGION, &bucket.region);
        Ok(answer)
    }

    pub(super) async fn get_bucket_location(&self) -> Result<Answer, Refusal> {
        let name = self.bucket()?;
        self.require("GetBucketLocation", &name.arn()).await?;
        let bucket = self.buckets.bucket(self.account(), &name).await?;
        let region = if bucket.region == DEFAULT_REGION { "" } else { &bucket.region };
        Ok(Document::location(region).answer(StatusCode::OK))
    }

    pub(super) async fn read_configuration(&self, configuration: &Configuration) -> Result<Answer, Refusal> {
        let name = self.bucket()?;
        self.require(configuration.action, &name.arn()).await?;
        self.buckets.bucket(self.account(), &name).await?;
        configuration.answer(name.as_str(), &owner_id(self.account()))
    }

    pub(super) async fn list_objects(&self) -> Result<Answer, Refusal> {
        let (query, url_encoded) = self.list_query("marker").await?;
        let listing = self.buckets.list_objects(self.account(), &self.bucket()?, &query).await?;
        let mut document = Document::new("ListBucketResult");
        let show = |text: &str| shown(text, url_encoded);
        document.text("Name", &self.address.bucket).text("Prefix", &show(&query.prefix));
        document.text("Marker", &show(&query.after));
        // Without a delimiter clients take the last key themselves.
        if let Some(next) = listing.next.as_deref().filter(|_| !query.delimiter.is_empty()) {
            document.text("NextMarker", &show(next));
        }
        write_listing(&mut document, &query, &listing, url_encoded, Some(&owner_id(self.account())));
        Ok(document.answer(StatusCode::OK))
    }

    pub(super) async fn list_objects_v2(&self) -> Result<Answer, Refusal> {
        let (mut query, url_encoded) = self.list_query("start-after").await?;
        let start_after = query.after.clone();
        let token = self.query.get("continuation-token");
        if let Some(token) = token {
            query.after = read_token(token)?;
        }
        let listing = self.buckets.list_objects(self.account(), &self.bucket()?, &query).await?;
        let mut document = Document::new("ListBucketResult");
        let show = |text: &str| shown(text, url_encoded);
        document.text("Name", &self.address.bucket).text("Prefix", &show(&query.prefix));
        if !start_after.is_empty() {
            document.text("StartAfter", &show(&start_after));
        }
        document.optional("ContinuationToken", token);
        if let Some(next) = &listing.next {
            document.text("NextContinuationToken", &base64_simd::STANDARD.encode_to_string(next));
        }
        let lines = listing.objects.len() + listing.common_prefixes.len();
        document.text("KeyCount", &lines.to_string());
        let owner = owner_id(self.account());
        let owner = (self.query.get("fetch-owner") == Some("true")).then_some(&owner[..]);
        write_listing(&mut document, &query, &listing, url_encoded, owner);
        Ok(document.answer(StatusCode::OK))
    }

    /// What both lists are asked, and whether keys are to be encoded.
    async fn list_query(&self, after: &str) -> Result<(ListQuery, bool), Refusal> {
        let (prefix, delimiter) = (self.query.text("prefix"), self.query.text("delimiter"));
        let lines_max = self.query.lines("max-keys")?;
        let facts = [("s3:prefix", prefix), ("s3:delimiter", delimiter), ("s3:max-keys", &lines_max.to_string())];
        let given: Vec<_> = facts.into_iter().filter(|(name, _)| self.query.get(&name[3..]).is_some()).collect();
        self.require_with("ListBucket", &self.bucket()?.arn(), &given).await?;
        let after = self.query.text(after).to_owned();
        let query = ListQuery { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after, lines_max };
        Ok((query, self.is_url_encoded()?))
    }

    /// Whether keys are to be written as in URLs.
    pub(super) fn is_url_encoded(&self) -> Result<bool, Refusal> {
        match self.query.get("encoding-type") {
            None | Some("") => Ok(false),
            Some("url") => Ok(true),
            Some(other) => {
                Err(Refusal::invalid_argument("encoding-type", other, "Invalid Encoding Method specified in Request"))
            }
        }
    }
}

/// The region of a new bucket: as the body says, which must be the one that the request is signed for.
fn region_of(body: &[u8], signed_for: &Region) -> Result<Region, Refusal> {
    if body.is_empty() {
        return Ok(signed_for.clone());
    }
    let configuration = xml::read(body).filter(|root| root.name == "CreateBucketConfiguration");
    let configuration = configuration.ok_or_else(Refusal::malformed_xml)?;
    // Tags, directory buckets.
    if configuration.children.iter().any(|child| child.name != "LocationConstraint") {
        return Err(Refusal::not_implemented());
    }
    let named = configuration.value("LocationConstraint").unwrap_or_default();
    let named = if named == "EU" { "eu-west-1" } else { named };
    match named.parse::<Region>() {
        _ if named.is_empty() => Ok(signed_for.clone()),
        Ok(region) if region == *signed_for || signed_for.as_str() == DEFAULT_REGION => Ok(region),
        Ok(_) => Err(Refusal::new(
            400,
            "IllegalLocationConstraintException",
            format!(
                "The {named} location constraint is incompatible for the region specific endpoint this request was sent to."
            ),
        )),
        Err(_) => Err(Refusal::new(400, "InvalidLocationConstraint", "The specified location-constraint is not valid")),
    }
}

fn read_token(token: &str) -> Result<String, Refusal> {
    let decoded = base64_simd::STANDARD.decode_to_vec(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let invalid =
        || Refusal::invalid_argument("continuation-token", token, "The continuation token provided is incorrect");
    decoded.filter(|key| !key.is_empty()).ok_or_else(invalid)
}

fn write_listing(
    document: &mut Document,
    query: &ListQuery,
    listing: &Listing,
    url_encoded: bool,
    owner: Option<&str>,
) {
    let show = |text: &str| shown(text, url_encoded);
    document.text("MaxKeys", &query.lines_max.to_string());
    if !query.delimiter.is_empty() {
        document.text("Delimiter", &show(&query.delimiter));
    }
    if url_encoded {
        document.text("EncodingType", "url");
    }
    document.text("IsTruncated", if listing.next.is_some() { "true" } else { "false" });
    for listed in &listing.objects {
        document.begin("Contents").text("Key", &show(&listed.key));
        document.text("LastModified", &iso(listed.object.modified_ms)).text("ETag", &quoted(&listed.object.etag));
        if let Some(checksum) = &listed.object.checksum {
            document.text("ChecksumAlgorithm", checksum.algorithm.name()).text("ChecksumType", checksum.kind.name());
        }
        document.text("Size", &listed.object.bytes.to_string()).text("StorageClass", "STANDARD");
        if let Some(owner) = owner {
            document.begin("Owner").text("ID", owner).end();
        }
        document.end();
    }
    for prefix in &listing.common_prefixes {
        document.begin("CommonPrefixes").text("Prefix", &show(prefix)).end();
    }
}
