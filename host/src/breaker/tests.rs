use proptest::prelude::*;
use regent_transport::TransportError;
use tokio::time::advance;

use super::*;
use crate::drivers;

const HOST: &str = "registry.example:443";

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Opens after three failures, for 5, 10, 20 … 40 s; remembers three hosts for ten minutes.
fn breakers() -> Breakers {
    let config = BreakerConfig {
        n_failures: 3,
        backoff: Backoff { first: seconds(5), longest: seconds(40) },
        probe_timeout: seconds(60),
        max_hosts: 3,
        idle: seconds(600),
    };
    Breakers::with_jitter(config, || 1.0)
}

fn fail(breakers: &Breakers, n_times: u32) {
    for _ in 0..n_times {
        breakers.admit(HOST).unwrap().failed();
    }
}

fn wait(breakers: &Breakers) -> u64 {
    breakers.admit(HOST).unwrap_err().retry_after.as_secs()
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_a_success_in_between_begins_anew() {
    let breakers = breakers();
    fail(&breakers, 2);
    breakers.admit(HOST).unwrap().succeeded();
    fail(&breakers, 2);
    drop(breakers.admit(HOST).unwrap());
    breakers.admit(HOST).unwrap().tell(Sign::Nothing);
    assert_eq!(breakers.metrics(), BreakerMetrics::default());
    fail(&breakers, 1);
    let open = breakers.admit(HOST).unwrap_err();
    assert_eq!(open.retry(), Retry::After(seconds(5)));
    assert_eq!(
        open.to_string(),
        "registry.example:443 failed several times in a row and is left alone for 5 s"
    );
    assert!(breakers.admit("other.example").is_ok());
    assert_eq!(breakers.metrics(), BreakerMetrics { open: 1, opened: 1, refused: 1 });
}

#[tokio::test(start_paused = true)]
async fn after_its_time_one_call_decides_how_it_goes_on() {
    let breakers = breakers();
    fail(&breakers, 3);
    for expected in [10, 20, 40, 40] {
        advance(seconds(expected.max(10))).await;
        let probe = breakers.admit(HOST).unwrap();
        assert!(breakers.admit(HOST).is_err());
        probe.failed();
        assert_eq!(wait(&breakers), expected);
    }
    advance(seconds(40)).await;
    breakers.admit(HOST).unwrap().succeeded();
    assert_eq!(breakers.metrics().open, 0);
    fail(&breakers, 3);
    assert_eq!(wait(&breakers), 5);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_cancelled_or_hangs_stops_no_other() {
    let breakers = breakers();
    fail(&breakers, 3);
    advance(seconds(5)).await;
    drop(breakers.admit(HOST).unwrap());
    let hanging = breakers.admit(HOST).unwrap();
    // Whoever waits for it waits as long as it has been under way, and no longer than it may be.
    for (passed, expected) in [(0, 1), (1, 1), (9, 10), (30, 20), (19, 1)] {
        advance(seconds(passed)).await;
        assert_eq!(wait(&breakers), expected);
    }
    advance(seconds(1)).await;
    let second = breakers.admit(HOST).unwrap();
    // It is not asked any more, whatever it says.
    hanging.succeeded();
    assert_eq!(wait(&breakers), 1);
    second.tell(Sign::Nothing);
    breakers.admit(HOST).unwrap().succeeded();
    assert_eq!(breakers.metrics().open, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_opened_change_nothing() {
    let breakers = breakers();
    let (early, late) = (breakers.admit(HOST).unwrap(), breakers.admit(HOST).unwrap());
    fail(&breakers, 3);
    early.succeeded();
    late.failed();
    assert_eq!(wait(&breakers), 5);
    assert_eq!(breakers.metrics().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_hosts_is_bounded_and_those_that_are_idle_are_forgotten() {
    let breakers = breakers();
    let n_known = |breakers: &Breakers| breakers.shared.hosts().len();
    fail(&breakers, 3);
    for other in ["a", "b", "c", "d"] {
        advance(seconds(1)).await;
        breakers.admit(other).unwrap().failed();
    }
    // Its call is the oldest, but the time in which there are none counts.
    assert_eq!((n_known(&breakers), breakers.metrics().open), (3, 1));
    advance(seconds(601)).await;
    breakers.admit("e").unwrap().failed();
    assert_eq!(n_known(&breakers), 1);
    breakers.admit("e").unwrap().succeeded();
    assert_eq!(n_known(&breakers), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_between_the_half_and_the_whole_of_the_backoff() {
    for (jitter, expected) in [((|| 0.0) as fn() -> f64, 2500), (|| 0.5, 3750), (|| 1.0, 5000)] {
        let breakers =
            Breakers::with_jitter(BreakerConfig { n_failures: 1, ..breakers().shared.config }, jitter);
        fail(&breakers, 1);
        assert_eq!(breakers.admit(HOST).unwrap_err().retry_after.as_millis(), expected);
    }
}

#[test]
fn only_what_speaks_of_the_host_counts() {
    for class in Class::ALL {
        let expected = match class {
            Class::Unavailable | Class::Timeout => Sign::Failing,
            Class::Authentication | Class::Denied | Class::Absent | Class::Throttled | Class::Corrupt => {
                Sign::Alive
            }
            _ => Sign::Nothing,
        };
        let error = regent_plugin_api::Error::new(class, "a_code", "a message").with_retry(Retry::Backoff);
        let error = drivers::Error::Call { driver: "a driver".to_owned(), error };
        assert_eq!(Sign::of(&error), expected, "{class:?}");
    }
    let (host, reason) = (|| HOST.to_owned(), || "x".to_owned());
    let rows = [
        (TransportError::Connect { host: host(), reason: reason() }, Sign::Failing),
        (TransportError::Broken { host: host(), reason: reason() }, Sign::Failing),
        (TransportError::Timeout { host: host() }, Sign::Failing),
        (TransportError::Tls { host: host(), reason: reason() }, Sign::Nothing),
        (TransportError::Refused { host: host(), rule: reason() }, Sign::Nothing),
    ];
    for (error, expected) in rows {
        assert_eq!(Sign::of(&error), expected, "{error}");
    }
}

/// What can happen to two hosts.
#[derive(Debug, Clone)]
enum Event {
    Admit(usize),
    End(prop::sample::Index, Sign),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let sign =
        prop::sample::select(vec![Sign::Failing, Sign::Failing, Sign::Failing, Sign::Alive, Sign::Nothing]);
    prop_oneof![
        4 => (0..2_usize).prop_map(Event::Admit),
        4 => (any::<prop::sample::Index>(), sign).prop_map(|(which, sign)| Event::End(which, sign)),
        1 => (0..70_u64).prop_map(Event::Pass),
    ]
}

/// A breaker as one would write it down: what was noted of a host, by the second.
#[derive(Debug, Default, Clone)]
struct Model {
    n_failures: u32,
    n_opened: u32,
    open_until: u64,
    /// Its number, and when it began.
    probe: Option<(usize, u64)>,
}

impl Model {
    /// Whether call number `call` is admitted, and else for how long not.
    fn admit(&mut self, call: usize, now: u64) -> Result<(), u64> {
        if self.n_opened == 0 {
            return Ok(());
        }
        let end = self.probe.map_or(self.open_until, |(_, begun)| begun + 60);
        if now < end {
            // Who finds a probe under way comes back after as long again.
            let again = self.probe.map_or(u64::MAX, |(_, begun)| (now - begun).max(1));
            return Err(again.min(end - now));
        }
        self.probe = Some((call, now));
        Ok(())
    }

    fn end(&mut self, call: usize, sign: Sign, now: u64) {
        let is_probe = self.probe.is_some_and(|(probe, _)| probe == call);
        if self.n_opened > 0 && !is_probe {
            return;
        }
        match sign {
            Sign::Alive => *self = Self::default(),
            Sign::Failing if is_probe => self.open(now),
            Sign::Failing => {
                self.n_failures += 1;
                if self.n_failures == 3 {
                    self.open(now);
                }
            }
            Sign::Nothing if is_probe => (self.probe, self.open_until) = (None, now),
            Sign::Nothing => {}
        }
    }

    fn open(&mut self, now: u64) {
        self.n_opened += 1;
        self.open_until = now + [5, 10, 20, 40][(self.n_opened as usize - 1).min(3)];
        self.probe = None;
    }
}

/// A call that was admitted and has not ended.
struct UnderWay {
    number: usize,
    host: usize,
    pass: Pass,
}

async fn replay(events: Vec<Event>) {
    let config = BreakerConfig { idle: Duration::from_hours(24), ..breakers().shared.config };
    let breakers = Breakers::with_jitter(config, || 1.0);
    let mut models = [Model::default(), Model::default()];
    let (mut now, mut calls): (u64, Vec<UnderWay>) = (0, Vec::new());
    for (number, event) in events.into_iter().enumerate() {
        match event {
            Event::Admit(host) => {
                let expected = models[host].admit(number, now);
                let admitted = breakers.admit(["a", "b"][host]);
                let actual = admitted.as_ref().map(drop).map_err(|open| open.retry_after.as_secs());
                assert_eq!(actual, expected, "at {now} s of {:?}", models[host]);
                calls.extend(admitted.ok().map(|pass| UnderWay { number, host, pass }));
            }
            Event::End(which, sign) if !calls.is_empty() => {
                let UnderWay { number, host, pass } = calls.swap_remove(which.index(calls.len()));
                models[host].end(number, sign, now);
                pass.tell(sign);
            }
            Event::End(..) => {}
            Event::Pass(n_seconds) => {
                now += n_seconds;
                advance(seconds(n_seconds)).await;
            }
        }
    }
    let n_open = models.iter().filter(|m| m.probe.is_some() || m.open_until > now).count();
    assert_eq!(breakers.metrics().open, n_open);
}

proptest! {
    #[test]
    fn whatever_happens_it_does_as_the_model_does(events in prop::collection::vec(event(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(replay(events));
    }
}
