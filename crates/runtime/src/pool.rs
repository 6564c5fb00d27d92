//! Which environment takes which invocation, as a pure machine.
//!
//! Environments are grouped by function, version and revision. An invocation takes the most recently used free environment
//! of its group, so that a surplus ages out; otherwise it waits, and an environment is started for it. A start is not tied
//! to the invocation that caused it: whoever becomes free first takes the oldest waiting one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::spec::FunctionSpec;

/// Names an environment for the life of the pool.
pub(crate) type EnvironmentId = u64;

/// The most there may be of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Accepted and unanswered invocations.
    pub(crate) concurrency: usize,
    pub(crate) environments: usize,
    pub(crate) inits: usize,
    pub(crate) idle: Duration,
    /// An environment older than this is replaced when it is free.
    pub(crate) age: Duration,
}

/// A function's version in one revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    function_arn: String,
    version: String,
    revision: String,
}

impl Key {
    fn of(spec: &FunctionSpec) -> Self {
        Self { function_arn: spec.function_arn.clone(), version: spec.version.clone(), revision: spec.revision.clone() }
    }
}

/// What the driver has to do. `T` is an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<T> {
    Start {
        environment: EnvironmentId,
        spec: Arc<FunctionSpec>,
    },
    Deliver {
        environment: EnvironmentId,
        invocation: T,
    },
    /// AWS's `Reason`.
    Throttle {
        invocation: T,
        reason: &'static str,
    },
    Stop {
        environment: EnvironmentId,
    },
}

#[derive(Debug)]
struct Group<T> {
    spec: Arc<FunctionSpec>,
    waiting: VecDeque<T>,
    /// Free environments, the most recently used last.
    idle: Vec<EnvironmentId>,
    starting: usize,
    live: usize,
}

impl<T> Group<T> {
    fn new(spec: &Arc<FunctionSpec>) -> Self {
        Self { spec: Arc::clone(spec), waiting: VecDeque::new(), idle: Vec::new(), starting: 0, live: 0 }
    }
}

#[derive(Debug)]
struct Member {
    key: Key,
    phase: MemberPhase,
    born: Duration,
    /// Replaced by a newer revision: stop as soon as it is free.
    retired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberPhase {
    Starting,
    Idle { since: Duration },
    Busy,
    Stopping,
}

/// The pool of all environments.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    limits: Limits,
    groups: HashMap<Key, Group<T>>,
    members: HashMap<EnvironmentId, Member>,
    /// Groups in which invocations wait without a start of their own, oldest first.
    hungry: VecDeque<Key>,
    starting: usize,
    /// Accepted and unanswered invocations, by function.
    in_flight: HashMap<String, usize>,
    /// Those of functions without a reservation.
    in_flight_unreserved: usize,
    /// What each function has for itself: its guarantee and its limit. Unreserved functions share the rest.
    reserved: HashMap<String, usize>,
    reserved_total: usize,
    last_id: EnvironmentId,
    closed: bool,
}

impl<T> Pool<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: HashMap::new(),
            members: HashMap::new(),
            hungry: VecDeque::new(),
            starting: 0,
            in_flight: HashMap::new(),
            in_flight_unreserved: 0,
            reserved: HashMap::new(),
            reserved_total: 0,
            last_id: 0,
            closed: false,
        }
    }

    /// A new invocation. It is throttled, or accepted: then [`Pool::answered`] is to be called once for it.
    pub(crate) fn submit(&mut self, spec: &Arc<FunctionSpec>, invocation: T, now: Duration) -> Vec<Command<T>> {
        if let Some(reason) = self.refusal(&spec.function_arn) {
            return vec![Command::Throttle { invocation, reason }];
        }
        *self.in_flight.entry(spec.function_arn.clone()).or_default() += 1;
        if !self.reserved.contains_key(&spec.function_arn) {
            self.in_flight_unreserved += 1;
        }
        let key = Key::of(spec);
        let mut commands = Vec::new();
        if !self.groups.contains_key(&key) {
            self.retire_where(
                |other| other.function_arn == key.function_arn && other.version == key.version,
                &mut commands,
            );
            self.groups.insert(key.clone(), Group::new(spec));
        }
        let group = self.groups.get_mut(&key).expect("inserted above when missing");
        if let Some(environment) = group.idle.pop() {
            self.member(environment).phase = MemberPhase::Busy;
            commands.push(Command::Deliver { environment, invocation });
        } else {
            group.waiting.push_back(invocation);
            self.hungry.push_back(key);
            self.feed(now, &mut commands);
        }
        commands
    }

    /// An accepted invocation got its answer.
    pub(crate) fn answered(&mut self, function_arn: &str) {
        let count = self.in_flight.get_mut(function_arn).expect("answered once for each accepted invocation");
        *count -= 1;
        if *count == 0 {
            self.in_flight.remove(function_arn);
        }
        if !self.reserved.contains_key(function_arn) {
            self.in_flight_unreserved -= 1;
        }
    }

    /// Reserves concurrency for a function, at most and at least so much; 0 switches it off, `None` takes it back. What
    /// runs already goes on.
    pub(crate) fn reserve(&mut self, function_arn: &str, limit: Option<usize>) {
        let running = self.in_flight.get(function_arn).copied().unwrap_or(0);
        let before = match limit {
            Some(limit) => self.reserved.insert(function_arn.to_owned(), limit),
            None => self.reserved.remove(function_arn),
        };
        match (before, limit) {
            (None, Some(_)) => self.in_flight_unreserved -= running,
            (Some(_), None) => self.in_flight_unreserved += running,
            _ => {}
        }
        self.reserved_total = self.reserved_total + limit.unwrap_or(0) - before.unwrap_or(0);
    }

    /// AWS's `Reason` why no further invocation of a function is accepted now.
    fn refusal(&self, function_arn: &str) -> Option<&'static str> {
        if let Some(limit) = self.reserved.get(function_arn) {
            let running = self.in_flight.get(function_arn).copied().unwrap_or(0);
            return (running >= *limit).then_some("ReservedFunctionConcurrentInvocationLimitExceeded");
        }
        let limit = self.limits.concurrency.saturating_sub(self.reserved_total);
        (self.in_flight_unreserved >= limit).then_some("ConcurrentInvocationLimitExceeded")
    }

    /// An environment waits for an event.
    pub(crate) fn free(&mut self, environment: EnvironmentId, now: Duration) -> Vec<Command<T>> {
        let mut commands = Vec::new();
        let Some(member) = self.members.get_mut(&environment) else { return commands };
        let group = self.groups.get_mut(&member.key).expect("a group lives as long as its members");
        match member.phase {
            MemberPhase::Starting => {
                self.starting -= 1;
                group.starting -= 1;
            }
            MemberPhase::Busy => {}
            MemberPhase::Idle { .. } | MemberPhase::Stopping => return commands,
        }
        // The age comes first: a busy environment is never idle, and its credentials end all the same.
        let worn_out = member.retired || now.saturating_sub(member.born) >= self.limits.age;
        if worn_out || self.closed {
            member.phase = MemberPhase::Stopping;
            commands.push(Command::Stop { environment });
            if !group.waiting.is_empty() {
                self.hungry.push_back(member.key.clone());
            }
        } else if let Some(invocation) = group.waiting.pop_front() {
            member.phase = MemberPhase::Busy;
            commands.push(Command::Deliver { environment, invocation });
        } else {
            member.phase = MemberPhase::Idle { since: now };
            group.idle.push(environment);
        }
        self.feed(now, &mut commands);
        commands
    }

    /// The oldest invocation that waits in the group of an environment which failed to start: it gets the failure.
    pub(crate) fn take_waiting(&mut self, environment: EnvironmentId) -> Option<T> {
        let key = &self.members.get(&environment)?.key;
        self.groups.get_mut(key)?.waiting.pop_front()
    }

    /// A delivery met an environment that had just ended: the invocation goes back to the head of its queue.
    pub(crate) fn give_back(&mut self, spec: &Arc<FunctionSpec>, invocation: T, now: Duration) -> Vec<Command<T>> {
        let mut commands = Vec::new();
        let key = Key::of(spec);
        self.groups.entry(key.clone()).or_insert_with(|| Group::new(spec)).waiting.push_front(invocation);
        self.hungry.push_back(key);
        self.feed(now, &mut commands);
        commands
    }

    /// An environment ends and takes nothing any more; its slot is still in use.
    pub(crate) fn stopping(&mut self, environment: EnvironmentId) {
        let Some(member) = self.members.get_mut(&environment) else { return };
        let group = self.groups.get_mut(&member.key).expect("a group lives as long as its members");
        match std::mem::replace(&mut member.phase, MemberPhase::Stopping) {
            MemberPhase::Starting => {
                self.starting -= 1;
                group.starting -= 1;
            }
            MemberPhase::Idle { .. } => group.idle.retain(|id| *id != environment),
            MemberPhase::Busy | MemberPhase::Stopping => {}
        }
    }

    /// An environment is gone: its slot is free.
    pub(crate) fn gone(&mut self, environment: EnvironmentId, now: Duration) -> Vec<Command<T>> {
        self.stopping(environment);
        let mut commands = Vec::new();
        let Some(member) = self.members.remove(&environment) else { return commands };
        let group = self.groups.get_mut(&member.key).expect("a group lives as long as its members");
        group.live -= 1;
        if !group.waiting.is_empty() {
            self.hungry.push_back(member.key);
        } else if group.live == 0 {
            self.groups.remove(&member.key);
        }
        self.feed(now, &mut commands);
        commands
    }

    /// Stops what has been free for too long. To be called every few seconds.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Command<T>> {
        let Limits { idle, age, .. } = self.limits;
        let worn_out = |member: &Member| match member.phase {
            MemberPhase::Idle { since } => now.saturating_sub(since) >= idle || now.saturating_sub(member.born) >= age,
            _ => false,
        };
        let ids: Vec<_> = self.members.iter().filter(|(_, member)| worn_out(member)).map(|(id, _)| *id).collect();
        ids.into_iter().map(|id| self.stop(id)).collect()
    }

    /// Stops the free environments of a function and, once they are free, its busy ones.
    pub(crate) fn retire(&mut self, function_arn: &str) -> Vec<Command<T>> {
        let mut commands = Vec::new();
        self.retire_where(|key| key.function_arn == function_arn, &mut commands);
        commands
    }

    /// Stops everything and accepts nothing that needs a start. Waiting invocations are handed back.
    pub(crate) fn close(&mut self) -> (Vec<Command<T>>, Vec<T>) {
        self.closed = true;
        let waiting = self.groups.values_mut().flat_map(|group| group.waiting.drain(..)).collect();
        let ids: Vec<_> =
            self.members.iter().filter(|(_, m)| m.phase != MemberPhase::Stopping).map(|(id, _)| *id).collect();
        (ids.into_iter().map(|id| self.stop(id)).collect(), waiting)
    }

    /// Environments that are not gone yet.
    pub(crate) fn live(&self) -> usize {
        self.members.len()
    }

    fn retire_where(&mut self, is_old: impl Fn(&Key) -> bool, commands: &mut Vec<Command<T>>) {
        let mut free = Vec::new();
        for (id, member) in self.members.iter_mut().filter(|(_, member)| is_old(&member.key)) {
            member.retired = true;
            if matches!(member.phase, MemberPhase::Idle { .. }) {
                free.push(*id);
            }
        }
        commands.extend(free.into_iter().map(|id| self.stop(id)));
    }

    fn stop(&mut self, environment: EnvironmentId) -> Command<T> {
        self.stopping(environment);
        Command::Stop { environment }
    }

    /// Starts environments for waiting invocations, as far as the bounds allow.
    fn feed(&mut self, now: Duration, commands: &mut Vec<Command<T>>) {
        while self.starting < self.limits.inits && !self.closed {
            let Some(key) = self.hungry.front() else { return };
            let fed = self.groups.get(key).is_none_or(|group| group.waiting.len() <= group.starting);
            if fed {
                self.hungry.pop_front();
                continue;
            }
            if self.members.len() >= self.limits.environments {
                commands.extend(self.make_room());
                return;
            }
            let key = key.clone();
            self.last_id += 1;
            let member = Member { key: key.clone(), phase: MemberPhase::Starting, born: now, retired: false };
            self.members.insert(self.last_id, member);
            self.starting += 1;
            let group = self.groups.get_mut(&key).expect("only existing groups are hungry here");
            group.starting += 1;
            group.live += 1;
            commands.push(Command::Start { environment: self.last_id, spec: Arc::clone(&group.spec) });
        }
    }

    /// Stops the environment that has been free for longest, unless one is on its way out already.
    fn make_room(&mut self) -> Option<Command<T>> {
        if self.members.values().any(|member| member.phase == MemberPhase::Stopping) {
            return None;
        }
        let since = |member: &Member| match member.phase {
            MemberPhase::Idle { since } => Some(since),
            _ => None,
        };
        let idle = self.members.iter().filter_map(|(id, member)| Some((since(member)?, *id)));
        let (_, oldest) = idle.min()?;
        Some(self.stop(oldest))
    }

    fn member(&mut self, environment: EnvironmentId) -> &mut Member {
        self.members.get_mut(&environment).expect("environments are known until they are gone")
    }
}

#[cfg(test)]
mod tests;
