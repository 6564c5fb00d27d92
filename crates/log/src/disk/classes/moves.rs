//! Changing the retention of a shard, and with it perhaps its class.

use crate::contract::{ShardConfig, ShardError, ShardKey};

use super::super::class::RetentionClass;
use super::super::settled;
use super::{Classes, not_open};

impl Classes {
    /// The class that `config` asks for must be open.
    pub(in crate::disk) async fn configure(&self, key: ShardKey, config: ShardConfig) -> Result<(), ShardError> {
        let to = RetentionClass::of(config.retention);
        if let Some(engine) = self.alone()
            && engine.class() == to
        {
            return settled(engine.configure(key, config)).await;
        }
        let _still = self.moving.lock().await;
        self.settle(key).await?;
        // Everything there is of the shard keeps to the new setting, before new records go elsewhere.
        let home = self.home(key);
        for (engine, _) in self.elsewhere(key, home.class()) {
            settled(engine.configure(key, config)).await?;
        }
        settled(home.configure(key, config)).await?;
        let part = home.part(key).ok_or(ShardError::NoShard(key))?;
        // A shard that takes no more records gains nothing by moving.
        if home.class() == to || part.sealed {
            return Ok(());
        }
        self.move_to(key, to).await
    }

    /// Finishes a move that was interrupted. Called while nothing moves.
    pub(super) async fn settle(&self, key: ShardKey) -> Result<(), ShardError> {
        match self.home(key).part(key).and_then(|part| part.away) {
            Some(to) => self.move_to(key, to).await,
            None => Ok(()),
        }
    }

    async fn move_to(&self, key: ShardKey, to: RetentionClass) -> Result<(), ShardError> {
        let from = self.home(key);
        // First of all, so that a class that cannot be used leaves the shard where it is.
        self.engine(to).ok_or_else(|| not_open(to))?;
        let (mut departure, waiting) = from.leave(key, to)?;
        settled(Ok(waiting)).await?;
        let to = self.engine(departure.to).ok_or_else(|| not_open(departure.to))?;
        loop {
            match to.enter(key, departure)? {
                Ok(waiting) => break settled(Ok(waiting)).await?,
                // What was left there from an earlier stay is just being removed.
                Err(waiting) => settled(Ok(waiting)).await?,
            }
            (departure, _) = from.leave(key, to.class())?;
        }
        self.set_home(key, to.class());
        from.arrived_elsewhere(key, to.class());
        tracing::info!(shard = %key, class = to.class().name(), "new records of the shard go to another retention class");
        Ok(())
    }
}
