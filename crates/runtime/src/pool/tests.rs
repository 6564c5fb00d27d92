use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { concurrency: 6, environments: 4, inits: 2, idle: Duration::from_mins(10), age: Duration::from_hours(1) };

fn spec(function: &str, revision: &str) -> Arc<FunctionSpec> {
    let scope = millstream_types::Scope {
        account: millstream_types::AccountId::default_account(),
        region: "us-east-1".parse().unwrap(),
    };
    let mut spec = FunctionSpec::new(scope, function, "provided.al2023", "h", "/code".into(), "role");
    function.clone_into(&mut spec.function_arn);
    revision.clone_into(&mut spec.revision);
    Arc::new(spec)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The environment started by `commands`, which must hold exactly that.
fn started(commands: &[Command<u32>]) -> EnvironmentId {
    match commands {
        [Command::Start { environment, .. }] => *environment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cold_invocation_starts_an_environment_and_the_next_one_reuses_it() {
    let mut pool = Pool::new(LIMITS);
    let id = started(&pool.submit(&spec("f", "1"), 1, seconds(0)));
    assert_eq!(pool.free(id, seconds(0)), [Command::Deliver { environment: id, invocation: 1 }]);
    pool.answered("f");
    assert_eq!(pool.free(id, seconds(1)), []);
    assert_eq!(pool.submit(&spec("f", "1"), 2, seconds(2)), [Command::Deliver { environment: id, invocation: 2 }]);
}

#[test]
fn no_more_environments_start_at_once_than_allowed() {
    let mut pool = Pool::new(LIMITS);
    let starts: usize = (0..4).map(|n| pool.submit(&spec("f", "1"), n, seconds(0)).len()).sum();
    assert_eq!(starts, 2);
    // The first one is ready: it takes the oldest invocation, and a third start follows.
    let commands = pool.free(1, seconds(0));
    assert!(matches!(commands[..], [Command::Deliver { environment: 1, invocation: 0 }, Command::Start { .. }]));
}

#[test]
fn beyond_the_concurrency_invocations_are_throttled() {
    let mut pool = Pool::new(LIMITS);
    for n in 0..6 {
        pool.submit(&spec("f", "1"), n, seconds(0));
    }
    let reason = "ConcurrentInvocationLimitExceeded";
    assert_eq!(pool.submit(&spec("g", "1"), 7, seconds(0)), [Command::Throttle { invocation: 7, reason }]);
    pool.answered("f");
    assert!(!matches!(pool.submit(&spec("g", "1"), 8, seconds(0))[..], [Command::Throttle { .. }]));
}

#[test]
fn reserved_concurrency_is_a_limit_and_a_guarantee() {
    let mut pool = Pool::new(LIMITS);
    let submit = |pool: &mut Pool<u32>, function: &str| match pool.submit(&spec(function, "1"), 0, seconds(0))[..] {
        [Command::Throttle { reason, .. }] => Err(reason),
        _ => Ok(()),
    };
    let (off, full) = ("ReservedFunctionConcurrentInvocationLimitExceeded", "ConcurrentInvocationLimitExceeded");
    // One that runs before it has a reservation counts for it then.
    assert_eq!(submit(&mut pool, "f"), Ok(()));
    pool.reserve("f", Some(2));
    assert_eq!((submit(&mut pool, "f"), submit(&mut pool, "f")), (Ok(()), Err(off)));
    // Four of the six are left for all others.
    for _ in 0..4 {
        assert_eq!(submit(&mut pool, "g"), Ok(()));
    }
    assert_eq!(submit(&mut pool, "g"), Err(full));
    pool.answered("f");
    assert_eq!((submit(&mut pool, "g"), submit(&mut pool, "f")), (Err(full), Ok(())));
    pool.reserve("f", Some(0));
    pool.answered("f");
    pool.answered("f");
    assert_eq!(submit(&mut pool, "f"), Err(off));
    assert_eq!((submit(&mut pool, "g"), submit(&mut pool, "g"), submit(&mut pool, "g")), (Ok(()), Ok(()), Err(full)));
    pool.reserve("f", None);
    assert_eq!(submit(&mut pool, "f"), Err(full));
    pool.answered("g");
    assert_eq!(submit(&mut pool, "f"), Ok(()));
}

#[test]
fn a_new_revision_retires_the_old_environments() {
    let mut pool = Pool::new(LIMITS);
    let idle = started(&pool.submit(&spec("f", "1"), 1, seconds(0)));
    pool.free(idle, seconds(0));
    let busy = started(&pool.submit(&spec("f", "1"), 2, seconds(0)));
    pool.free(busy, seconds(0));
    pool.answered("f");
    pool.free(idle, seconds(0));
    let commands = pool.submit(&spec("f", "2"), 3, seconds(1));
    assert!(matches!(commands[..], [Command::Stop { environment }, Command::Start { .. }] if environment == idle));
    assert_eq!(pool.free(busy, seconds(2)), [Command::Stop { environment: busy }]);
}

#[test]
fn idle_and_old_environments_are_stopped() {
    let mut pool = Pool::new(LIMITS);
    let id = started(&pool.submit(&spec("f", "1"), 1, seconds(0)));
    pool.free(id, seconds(0));
    pool.answered("f");
    pool.free(id, seconds(1));
    assert_eq!(pool.tick(seconds(600)), []);
    assert_eq!(pool.tick(seconds(601)), [Command::Stop { environment: id }]);
    assert_eq!(pool.tick(seconds(602)), []);
    assert_eq!(pool.gone(id, seconds(603)), []);
    assert_eq!(pool.live(), 0);
    assert!(pool.groups.is_empty());
}

#[test]
fn a_full_host_gives_up_its_oldest_idle_environment() {
    let mut pool = Pool::new(LIMITS);
    for n in 0..4_u32 {
        let id = started(&pool.submit(&spec(&format!("f{n}"), "1"), n, seconds(0)));
        pool.free(id, seconds(0));
        pool.answered(&format!("f{n}"));
        pool.free(id, seconds(u64::from(n)));
    }
    assert_eq!(pool.submit(&spec("g", "1"), 9, seconds(9)), [Command::Stop { environment: 1 }]);
    assert!(matches!(pool.gone(1, seconds(9))[..], [Command::Start { .. }]));
}

#[test]
fn a_failed_start_answers_the_oldest_invocation_and_the_others_get_a_new_start() {
    let mut pool = Pool::new(Limits { inits: 1, ..LIMITS });
    let id = started(&pool.submit(&spec("f", "1"), 1, seconds(0)));
    assert_eq!(pool.submit(&spec("f", "1"), 2, seconds(0)), []);
    assert_eq!(pool.take_waiting(id), Some(1));
    assert!(matches!(pool.gone(id, seconds(1))[..], [Command::Start { .. }]));
}

proptest! {
    /// Under any order of events the bounds hold, no invocation is lost or doubled, and the pool empties.
    #[test]
    fn invocations_are_neither_lost_nor_doubled(choices in prop::collection::vec((0..5_u8, 0..8_usize), 0..80)) {
        let mut pool = Pool::new(LIMITS);
        let mut world = World::default();
        for (n, (choice, pick)) in choices.into_iter().enumerate() {
            let now = seconds(n as u64);
            let commands = match choice {
                0 | 1 => {
                    let function = ["f", "g"][pick % 2];
                    let invocation = u32::try_from(n).unwrap();
                    world.submitted.insert(invocation);
                    pool.submit(&spec(function, ["1", "2"][pick / 4]), (function, invocation), now)
                }
                2 => world.pick(pick).map(|id| world.become_free(&mut pool, id, now)).unwrap_or_default(),
                3 => world.pick(pick).map(|id| world.die(&mut pool, id, now)).unwrap_or_default(),
                _ => pool.tick(now),
            };
            world.carry_out(commands);
            prop_assert!(pool.starting <= LIMITS.inits);
            prop_assert!(pool.members.len() <= LIMITS.environments);
            prop_assert!(pool.in_flight_unreserved <= LIMITS.concurrency);
        }
        for round in 0..200 {
            let Some(id) = world.pick(0) else { break };
            let now = seconds(10_000 + round);
            let mut commands = world.become_free(&mut pool, id, now);
            commands.extend(pool.tick(now + LIMITS.idle));
            world.carry_out(commands);
            for id in std::mem::take(&mut world.stopping) {
                let commands = world.die(&mut pool, id, now);
                world.carry_out(commands);
            }
        }
        prop_assert_eq!(&world.answered, &world.submitted);
        prop_assert_eq!(pool.in_flight_unreserved, 0);
        prop_assert_eq!(pool.live(), 0);
    }
}

/// What the driver would do with the pool's commands.
#[derive(Default)]
struct World {
    alive: Vec<EnvironmentId>,
    busy: HashMap<EnvironmentId, (&'static str, u32)>,
    stopping: Vec<EnvironmentId>,
    submitted: HashSet<u32>,
    answered: HashSet<u32>,
}

impl World {
    fn pick(&self, n: usize) -> Option<EnvironmentId> {
        (!self.alive.is_empty()).then(|| self.alive[n % self.alive.len()])
    }

    fn answer(&mut self, invocation: u32) {
        assert!(self.answered.insert(invocation), "an invocation is answered once");
    }

    fn become_free(
        &mut self,
        pool: &mut Pool<(&'static str, u32)>,
        id: EnvironmentId,
        now: Duration,
    ) -> Vec<Command<(&'static str, u32)>> {
        if let Some((function, invocation)) = self.busy.remove(&id) {
            self.answer(invocation);
            pool.answered(function);
        }
        pool.free(id, now)
    }

    fn die(
        &mut self,
        pool: &mut Pool<(&'static str, u32)>,
        id: EnvironmentId,
        now: Duration,
    ) -> Vec<Command<(&'static str, u32)>> {
        self.alive.retain(|other| *other != id);
        self.stopping.retain(|other| *other != id);
        let starting = pool.members.get(&id).is_some_and(|member| member.phase == MemberPhase::Starting);
        let failed = if starting { pool.take_waiting(id) } else { self.busy.remove(&id) };
        if let Some((function, invocation)) = failed {
            self.answer(invocation);
            pool.answered(function);
        }
        pool.gone(id, now)
    }

    fn carry_out(&mut self, commands: Vec<Command<(&'static str, u32)>>) {
        for command in commands {
            match command {
                Command::Start { environment, .. } => self.alive.push(environment),
                Command::Deliver { environment, invocation } => {
                    assert!(self.alive.contains(&environment) && !self.stopping.contains(&environment));
                    assert!(self.busy.insert(environment, invocation).is_none(), "one invocation at a time");
                }
                Command::Throttle { invocation, .. } => self.answer(invocation.1),
                Command::Stop { environment } => self.stopping.push(environment),
            }
        }
    }
}
