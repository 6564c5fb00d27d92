//! `StartStreamEncryption` and `StopStreamEncryption`.
//!
//! Both answer at once, and the stream is UPDATING for a moment. A record put after the answer is stored as the stream then
//! says; records that are there stay as they are. What AWS answers to a key that is none, or is another's, is not
//! recorded: the choices and texts are all here.

use std::sync::Arc;

use millstream_iam::RequestContext;
use millstream_log::encryption::Key;
use millstream_wire::kinesis::error::{StartStreamEncryptionError, StopStreamEncryptionError};
use millstream_wire::kinesis::{EncryptionType, StartStreamEncryptionInput, StopStreamEncryptionInput};

use super::reshard::DAY;
use crate::errors::{Internal, InvalidArgument, KmsAccessDenied, KmsNotFound, LimitExceeded};
use crate::keys::{KeyId, MakeError, Owner, WrappedKey};
use crate::model::{Encryption, Header, On, Status, StoredKey};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::stream::Stream;

/// How often a key can be applied to a stream in a rolling day, and how often encryption be stopped (Kinesis model: each
/// counts what succeeded).
const CHANGES_PER_DAY: usize = 25;

impl Streams {
    /// Also changes the key of a stream that is encrypted. The present key is accepted and changes nothing.
    pub async fn start_stream_encryption(
        &self,
        context: &RequestContext,
        input: StartStreamEncryptionInput,
    ) -> Result<(), StartStreamEncryptionError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "StartStreamEncryption")?;
        let key_id = checked_key(input.encryption_type, &input.key_id, &name)?;
        check_place::<StartStreamEncryptionError>(&key_id, &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        // On a copy first: what is refused makes no master key.
        let change = |header: &mut Header| self.apply_key(&name, header, &key_id, &input.key_id);
        change(&mut stream.header.clone())?;
        let master = self.master_key(&key_id).await?;
        let random = &self.inner.parts.random;
        let changes = |header: &mut Header| {
            let Some(number) = change(header)? else { return Ok::<_, StartStreamEncryptionError>(false) };
            if number == header.encryption.next_number() {
                let master_id = key_id.master();
                let owner = Owner { stream: header.id, number, master: &master_id };
                let wrapped = WrappedKey::make(&master, owner, random);
                header.encryption.keys.push(StoredKey { number, master: master_id, wrapped });
            }
            Ok(true)
        };
        self.inner.registry.change(&name, changes).await?;
        self.finish_in_background(&name);
        Ok(())
    }

    /// A stream that is not encrypted is accepted and nothing changes.
    pub async fn stop_stream_encryption(
        &self,
        context: &RequestContext,
        input: StopStreamEncryptionInput,
    ) -> Result<(), StopStreamEncryptionError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "StopStreamEncryption")?;
        let key_id = checked_key(input.encryption_type, &input.key_id, &name)?;
        let now = self.now();
        let changes = |header: &mut Header| {
            if header.status != Status::Active {
                return Err(StopStreamEncryptionError::from(name.not_active(header.status)));
            }
            let Some(on) = &header.encryption.on else { return Ok(false) };
            if header.encryption.master() != Some(&key_id.master()) {
                return Err(InvalidArgument(format!(
                    "{name} is encrypted with KeyId {}, not with {}.",
                    on.key_id, input.key_id
                ))
                .into());
            }
            if !Encryption::count(&mut header.encryption.stopped_ms, now, DAY, CHANGES_PER_DAY) {
                return Err(too_often("disabled", &name).into());
            }
            header.encryption.on = None;
            header.begin_encryption();
            Ok(true)
        };
        self.inner.registry.change(&name, changes).await?;
        self.finish_in_background(&name);
        Ok(())
    }

    /// Everything of applying a key but making a data key: gives the number of the one to use, which is the next number when
    /// there is none yet. `None` when nothing changes.
    fn apply_key(
        &self,
        name: &StreamName,
        header: &mut Header,
        key_id: &KeyId,
        text: &str,
    ) -> Result<Option<u32>, StartStreamEncryptionError> {
        if header.status != Status::Active {
            return Err(name.not_active(header.status).into());
        }
        let master = key_id.master();
        let encryption = &mut header.encryption;
        if encryption.master() == Some(&master) {
            return Ok(None);
        }
        if !Encryption::count(&mut encryption.started_ms, self.now(), DAY, CHANGES_PER_DAY) {
            return Err(too_often("enabled", name).into());
        }
        let usable = |key: &&StoredKey| key.master == master && self.inner.registry.keys.has(header.id, key.number);
        let number = encryption.keys.iter().find(usable).map(|key| key.number);
        if number.is_none() && encryption.keys.len() >= Encryption::KEYS_MAX {
            let max = Encryption::KEYS_MAX;
            return Err(LimitExceeded(format!("{name} has been encrypted with {max} keys. No other one fits.")).into());
        }
        let number = number.unwrap_or_else(|| encryption.next_number());
        encryption.on = Some(On { key_id: text.to_owned(), number });
        header.begin_encryption();
        Ok(Some(number))
    }

    async fn master_key(&self, key_id: &KeyId) -> Result<Arc<Key>, StartStreamEncryptionError> {
        let (masters, wanted) = (self.inner.registry.keys.masters().clone(), key_id.clone());
        let made = self.inner.parts.tasks.blocking(move || masters.find_or_make(&wanted)).await;
        match made.map_err(|error| Internal(error.to_string()))? {
            Ok(key) => Ok(key),
            Err(error @ MakeError::Lost(_)) => Err(KmsNotFound(format!("{}: {error}.", key_id.arn)).into()),
            Err(error @ MakeError::Disk(_)) => Err(Internal(error.to_string()).into()),
        }
    }

    /// Refuses what needs a key of the stream that is lost: the one of that number, or any.
    pub(crate) fn check_keys(&self, stream: &Stream, number: Option<u32>) -> Result<(), KmsNotFound> {
        match self.inner.registry.keys.lost(stream.incarnation(), number) {
            None => Ok(()),
            Some(master) => Err(KmsNotFound(format!(
                "{} was encrypted with a master key that is not there: its file {master}.key is missing, damaged or another \
                 one.",
                stream.name
            ))),
        }
    }

    pub(super) fn check_key_for_writing(&self, stream: &Stream) -> Result<(), KmsNotFound> {
        match &stream.header.encryption.on {
            None => Ok(()),
            Some(on) => self.check_keys(stream, Some(on.number)),
        }
    }
}

/// What `DescribeStream` shows.
pub(super) fn described(header: &Header) -> EncryptionType {
    if header.encryption.on.is_some() { EncryptionType::Kms } else { EncryptionType::None }
}

/// The only type that can be started or stopped is KMS (Kinesis model).
fn checked_key(kind: EncryptionType, text: &str, name: &StreamName) -> Result<KeyId, InvalidArgument> {
    if kind != EncryptionType::Kms {
        return Err(InvalidArgument(format!(
            "EncryptionType {} is not valid. The only valid value is KMS.",
            kind.as_str()
        )));
    }
    KeyId::parse(text, &name.scope).ok_or_else(|| InvalidArgument(format!("KeyId {text} is not valid.")))
}

/// KMS knows no key of another Region, and nobody has allowed the use of another account's.
fn check_place<E: From<KmsNotFound> + From<KmsAccessDenied>>(key_id: &KeyId, name: &StreamName) -> Result<(), E> {
    let arn = &key_id.arn;
    if arn.region != name.scope.region.as_str() {
        return Err(KmsNotFound(format!("{arn} is not in the Region of {name}.")).into());
    }
    if arn.account != name.scope.account.as_str() {
        return Err(KmsAccessDenied(format!(
            "The ciphertext refers to a customer master key that does not exist, or you are not allowed to access: {arn}."
        ))
        .into());
    }
    Ok(())
}

fn too_often(what: &str, name: &StreamName) -> LimitExceeded {
    LimitExceeded(format!(
        "Server-side encryption can be {what} {CHANGES_PER_DAY} times per rolling 24 hours for {name}."
    ))
}
