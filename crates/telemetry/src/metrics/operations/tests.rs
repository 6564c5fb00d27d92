use std::time::Duration;

use millstream_env::{ServiceClock, Timestamp, VirtualTime};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_types::{AccountId, Scope};
use millstream_wire::monitoring::error::{GetMetricDataError, GetMetricStatisticsError, PutMetricDataError};
use millstream_wire::monitoring::*;
use millstream_wire::{ApiError, CommonError};

use crate::metrics::store::Metrics;

/// 2026-01-01T00:00:00Z
const START: Timestamp = Timestamp::from_seconds(1_767_225_600);
const HOUR: Duration = Duration::from_hours(1);

struct World {
    metrics: Metrics,
    time: VirtualTime,
    context: RequestContext,
}

impl World {
    fn new() -> Self {
        let (clock, time) = ServiceClock::virtual_at(START);
        let account = AccountId::default_account();
        let context = RequestContext {
            scope: Scope { account: account.clone(), region: "us-east-1".parse().unwrap() },
            caller: Caller { account, access_key_id: "test".to_owned(), principal: Principal::Root },
            request_id: String::new(),
            endpoint: String::new(),
        };
        Self { metrics: Metrics::new(clock), time, context }
    }

    fn put(&self, data: Vec<MetricDatum>) -> Result<(), PutMetricDataError> {
        let input = PutMetricDataInput { namespace: "Own".to_owned(), metric_data: Some(data), ..Default::default() };
        self.metrics.put_metric_data(&self.context, input)
    }

    fn names(&self, input: ListMetricsInput) -> Vec<String> {
        let output = self.metrics.list_metrics(&self.context, input).unwrap();
        output.metrics.unwrap().into_iter().map(|metric| metric.metric_name.unwrap()).collect()
    }

    fn statistics(&self, input: GetMetricStatisticsInput) -> Vec<Datapoint> {
        self.metrics.get_metric_statistics(&self.context, input).unwrap().datapoints.unwrap()
    }
}

fn value(name: &str, value: f64) -> MetricDatum {
    MetricDatum { metric_name: name.to_owned(), value: Some(value), ..Default::default() }
}

fn dimension(name: &str, value: &str) -> Dimension {
    Dimension { name: name.to_owned(), value: value.to_owned() }
}

fn last_hour(name: &str) -> GetMetricStatisticsInput {
    GetMetricStatisticsInput {
        namespace: "Own".to_owned(),
        metric_name: name.to_owned(),
        start_time: START.minus(HOUR),
        end_time: START.plus(HOUR),
        period: 7200,
        statistics: Some(Statistic::ALL.to_vec()),
        ..Default::default()
    }
}

#[test]
fn what_is_put_is_read_back() {
    let world = World::new();
    let values = MetricDatum {
        values: Some(vec![1.0, 9.0]),
        counts: Some(vec![3.0, 1.0]),
        unit: Some(StandardUnit::Seconds),
        ..value("m", 0.0)
    };
    let set = StatisticSet { sample_count: 2.0, sum: 10.0, minimum: 4.0, maximum: 6.0 };
    let set = MetricDatum { value: None, statistic_values: Some(set), ..values.clone() };
    world.put(vec![MetricDatum { value: None, ..values }]).unwrap();
    world.put(vec![MetricDatum { values: None, counts: None, ..set }]).unwrap();
    let points = world.statistics(last_hour("m"));
    let expected = Datapoint {
        timestamp: Some(START.minus(HOUR)),
        sample_count: Some(6.0),
        average: Some(22.0 / 6.0),
        sum: Some(22.0),
        minimum: Some(1.0),
        maximum: Some(9.0),
        unit: Some(StandardUnit::Seconds),
        extended_statistics: None,
    };
    assert_eq!(points, [expected]);
}

#[test]
fn units_and_dimensions_keep_data_apart() {
    let world = World::new();
    let with = |names: &[(&str, &str)], unit| MetricDatum {
        dimensions: Some(names.iter().map(|(name, value)| dimension(name, value)).collect()),
        unit,
        ..value("m", 1.0)
    };
    world.put(vec![with(&[("a", "1"), ("b", "2")], None), with(&[("b", "2"), ("a", "1")], None)]).unwrap();
    world.put(vec![with(&[("a", "1")], None), with(&[("a", "1"), ("b", "2")], Some(StandardUnit::Bytes))]).unwrap();
    let input = |dimensions: Vec<Dimension>, unit| GetMetricStatisticsInput {
        dimensions: Some(dimensions),
        unit,
        ..last_hour("m")
    };
    let both = || vec![dimension("b", "2"), dimension("a", "1")];
    let sums = |points: Vec<Datapoint>| points.iter().map(|p| (p.unit.unwrap(), p.sum.unwrap())).collect::<Vec<_>>();
    let (bytes, none) = (StandardUnit::Bytes, StandardUnit::None);
    assert_eq!(sums(world.statistics(input(both(), None))), [(bytes, 1.0), (none, 2.0)]);
    assert_eq!(sums(world.statistics(input(both(), Some(none)))), [(none, 2.0)]);
    assert_eq!(sums(world.statistics(input(vec![], None))), []);
    assert_eq!(world.names(ListMetricsInput::default()), ["m", "m"]);
    let filter = |name: &str, value: Option<&str>| ListMetricsInput {
        dimensions: Some(vec![DimensionFilter { name: name.to_owned(), value: value.map(str::to_owned) }]),
        ..Default::default()
    };
    assert_eq!(world.names(filter("b", None)).len(), 1);
    assert_eq!(world.names(filter("a", Some("1"))).len(), 2);
    assert_eq!(world.names(filter("a", Some("2"))).len(), 0);
}

#[test]
fn listings_are_paged_and_forget() {
    let world = World::new();
    for page in 0..2 {
        world.put((0..300).map(|number| value(&format!("m{page}{number:03}"), 1.0)).collect()).unwrap();
    }
    let first = world.metrics.list_metrics(&world.context, ListMetricsInput::default()).unwrap();
    assert_eq!(first.metrics.unwrap().len(), 500);
    let rest = ListMetricsInput { next_token: first.next_token, ..Default::default() };
    let rest = world.metrics.list_metrics(&world.context, rest).unwrap();
    assert_eq!((rest.metrics.unwrap().len(), rest.next_token), (100, None));
    let recent = ListMetricsInput { recently_active: Some(RecentlyActive::Pt3h), ..Default::default() };
    world.time.advance(4 * HOUR);
    assert_eq!(world.names(recent), Vec::<String>::new());
    assert_eq!(world.names(ListMetricsInput::default()).len(), 500);
    world.time.advance(21 * HOUR);
    assert_eq!(world.names(ListMetricsInput::default()), Vec::<String>::new());
    let bad = ListMetricsInput { next_token: Some("x".to_owned()), ..Default::default() };
    assert!(world.metrics.list_metrics(&world.context, bad).is_err());
}

#[test]
fn a_bad_datum_refuses_the_whole_request() {
    let world = World::new();
    let good = || value("good", 1.0);
    let datum = || MetricDatum { value: None, ..value("bad", 0.0) };
    let set = |count, low, high| Some(StatisticSet { sample_count: count, sum: 1.0, minimum: low, maximum: high });
    let bad = [
        datum(),
        value("bad", f64::NAN),
        value("bad", 2.0_f64.powi(361)),
        MetricDatum { values: Some(vec![1.0]), ..value("bad", 1.0) },
        MetricDatum { counts: Some(vec![1.0]), ..value("bad", 1.0) },
        MetricDatum { values: Some(vec![1.0, 2.0]), counts: Some(vec![1.0]), ..datum() },
        MetricDatum { values: Some(vec![1.0]), counts: Some(vec![0.0]), ..datum() },
        MetricDatum { values: Some(vec![1.0; 151]), ..datum() },
        MetricDatum { values: Some(vec![1e100]), counts: Some(vec![1e250]), ..datum() },
        MetricDatum { values: Some(vec![1.0]), counts: Some(vec![1e-250]), ..datum() },
        MetricDatum { values: Some(vec![1.0]), counts: Some(vec![f64::NAN]), ..datum() },
        MetricDatum { statistic_values: set(0.0, 1.0, 1.0), ..datum() },
        MetricDatum { statistic_values: set(1e-250, 1.0, 1.0), ..datum() },
        MetricDatum { statistic_values: set(f64::INFINITY, 1.0, 1.0), ..datum() },
        MetricDatum { statistic_values: set(1.0, 2.0, 1.0), ..datum() },
        MetricDatum { storage_resolution: Some(1), ..value("bad", 1.0) },
        MetricDatum { timestamp: Some(START.plus(3 * HOUR)), ..value("bad", 1.0) },
        MetricDatum { timestamp: Some(START.minus(25 * HOUR)), ..value("bad", 1.0) },
        MetricDatum { dimensions: Some(vec![dimension("a", "1"), dimension("a", "2")]), ..value("bad", 1.0) },
    ];
    for bad in bad {
        let shown = format!("{bad:?}");
        assert!(world.put(vec![good(), bad]).is_err(), "{shown}");
    }
    assert!(world.put(vec![]).is_err());
    assert!(world.put((0..1001).map(|_| good()).collect()).is_err());
    let reserved = PutMetricDataInput {
        namespace: "AWS/Lambda".to_owned(),
        metric_data: Some(vec![good()]),
        ..Default::default()
    };
    let refused = world.metrics.put_metric_data(&world.context, reserved);
    let text = "The value AWS/ for parameter Namespace is invalid.";
    assert_eq!(refused, Err(PutMetricDataError::InvalidParameterValue(text.to_owned())));
    assert_eq!(world.names(ListMetricsInput::default()), Vec::<String>::new());
}

#[test]
fn the_largest_values_have_finite_sums_and_averages() {
    let world = World::new();
    let (most, least) = (2.0_f64.powi(360), 2.0_f64.powi(-360));
    let largest =
        || MetricDatum { value: None, values: Some(vec![most; 150]), counts: Some(vec![most; 150]), ..value("m", 0.0) };
    world.put((0..1000).map(|_| largest()).collect()).unwrap();
    let set = StatisticSet { sample_count: least, sum: most, minimum: -most, maximum: most };
    world.put(vec![MetricDatum { value: None, statistic_values: Some(set), ..value("n", 0.0) }]).unwrap();
    for name in ["m", "n"] {
        let point = &world.statistics(last_hour(name))[0];
        assert!([point.sum, point.average].iter().all(|number| number.unwrap().is_finite()), "{point:?}");
    }
}

#[test]
fn statistics_are_of_whole_minutes_and_few() {
    let world = World::new();
    let refused = |change: fn(&mut GetMetricStatisticsInput)| {
        let mut input = last_hour("m");
        change(&mut input);
        world.metrics.get_metric_statistics(&world.context, input).unwrap_err()
    };
    assert!(matches!(refused(|i| i.period = 61), GetMetricStatisticsError::InvalidParameterValue(_)));
    assert!(matches!(refused(|i| i.period = 30), GetMetricStatisticsError::InvalidParameterValue(_)));
    assert!(matches!(refused(|i| i.end_time = i.start_time), GetMetricStatisticsError::InvalidParameterCombination(_)));
    assert!(matches!(refused(|i| i.statistics = None), GetMetricStatisticsError::MissingRequiredParameter(_)));
    let trimmed = refused(|i| i.extended_statistics = Some(vec!["tm99".to_owned()]));
    assert!(matches!(trimmed, GetMetricStatisticsError::InvalidParameterValue(_)));
    let many = refused(|i| {
        i.period = 60;
        i.start_time = START.minus(24 * HOUR);
        i.end_time = i.start_time.plus(Duration::from_mins(1441));
    });
    let GetMetricStatisticsError::InvalidParameterCombination(text) = many else { panic!("{many:?}") };
    assert!(text.starts_with("You have requested up to 1,441 datapoints"), "{text}");
}

#[test]
fn data_lies_in_its_period_on_both_sides_of_what_is_merged() {
    let world = World::new();
    let (all, minute) = (5 * 60, Duration::from_mins(1));
    for number in 0..all {
        let at = START.plus(minute * number);
        world.time.set(at);
        world.put(vec![value("m", f64::from(number))]).unwrap();
    }
    // In minute 299 each minute from 115 on is kept apart.
    for (from, period) in [(0, 60), (3, 60), (62, 120), (115, 60), (119, 420), (120, 60), (121, 120), (200, 60)] {
        let input = GetMetricStatisticsInput {
            start_time: START.plus(minute * from + Duration::from_secs(59)),
            end_time: START.plus(minute * all),
            period,
            ..last_hour("m")
        };
        let points = world.statistics(input);
        for (index, point) in points.iter().enumerate() {
            let first = u32::try_from(point.timestamp.unwrap().since(START).as_secs() / 60).unwrap();
            let after = points
                .get(index + 1)
                .map_or(all, |next| u32::try_from(next.timestamp.unwrap().since(START).as_secs() / 60).unwrap());
            let expected: u32 = (first..after).sum();
            assert_eq!(point.sum, Some(f64::from(expected)), "from {from} by {period}: {first} to {after}");
        }
        let is_merged = from < 115;
        let start = if is_merged { from - from % 5 } else { from };
        assert_eq!(points[0].timestamp, Some(START.plus(minute * start)), "from {from} by {period}");
        let length = points[1].timestamp.unwrap().since(points[0].timestamp.unwrap()).as_secs();
        let wanted = u64::try_from(period).unwrap();
        assert_eq!(length, if is_merged { wanted.next_multiple_of(300) } else { wanted }, "from {from} by {period}");
    }
}

#[test]
fn percentiles_need_single_values() {
    let world = World::new();
    let values = (1..=100).map(f64::from).collect();
    world.put(vec![MetricDatum { value: None, values: Some(values), ..value("m", 0.0) }]).unwrap();
    let input = || GetMetricStatisticsInput {
        statistics: None,
        extended_statistics: Some(vec!["p50".to_owned(), "p99.9".to_owned(), "p0".to_owned()]),
        ..last_hour("m")
    };
    let found = world.statistics(input())[0].extended_statistics.clone().unwrap();
    for (name, wanted) in [("p0", 1.0), ("p50", 50.0), ("p99.9", 100.0)] {
        assert!((found[name] - wanted).abs() <= wanted * 0.03, "{name}: {found:?}");
    }
    let set = StatisticSet { sample_count: 2.0, sum: 10.0, minimum: 4.0, maximum: 6.0 };
    world.put(vec![MetricDatum { value: None, statistic_values: Some(set), ..value("m", 0.0) }]).unwrap();
    assert_eq!(world.statistics(input())[0].extended_statistics, None);
}

fn query(id: &str, name: &str, stat: &str) -> MetricDataQuery {
    let metric = Metric { namespace: Some("Own".to_owned()), metric_name: Some(name.to_owned()), dimensions: None };
    let stat = MetricStat { metric, period: 60, stat: stat.to_owned(), unit: None };
    MetricDataQuery { id: id.to_owned(), metric_stat: Some(stat), ..Default::default() }
}

fn data(queries: Vec<MetricDataQuery>) -> GetMetricDataInput {
    GetMetricDataInput {
        metric_data_queries: queries,
        start_time: START,
        end_time: START.plus(HOUR),
        ..Default::default()
    }
}

#[test]
fn data_of_several_metrics_comes_in_pages() {
    let world = World::new();
    for minute in 0..3 {
        let at = Some(START.plus(Duration::from_mins(minute)));
        let value = |name, number: f64| MetricDatum { timestamp: at, ..value(name, number) };
        #[expect(clippy::cast_precision_loss, reason = "small")]
        world.put(vec![value("a", minute as f64), value("b", 10.0)]).unwrap();
    }
    let queries = || {
        let hidden = MetricDataQuery { return_data: Some(false), ..query("h", "a", "Sum") };
        let labelled = MetricDataQuery { label: Some("B".to_owned()), ..query("b", "b", "Maximum") };
        vec![query("a", "a", "Sum"), hidden, labelled, query("none", "c", "p50")]
    };
    let whole = world.metrics.get_metric_data(&world.context, data(queries())).unwrap();
    let results = whole.metric_data_results.unwrap();
    let values: Vec<_> =
        results.iter().map(|r| (r.id.clone().unwrap(), r.label.clone().unwrap(), r.values.clone().unwrap())).collect();
    let owned = |id: &str, label: &str, values: &[f64]| (id.to_owned(), label.to_owned(), values.to_vec());
    let expected = [owned("a", "a", &[2.0, 1.0, 0.0]), owned("b", "B", &[10.0, 10.0, 10.0]), owned("none", "c", &[])];
    assert_eq!(values, expected);
    assert!(results.iter().all(|result| result.status_code == Some(StatusCode::Complete)));

    let (mut token, mut pages, mut found) = (None, 0, Vec::new());
    loop {
        let input = GetMetricDataInput {
            max_datapoints: Some(2),
            scan_by: Some(ScanBy::TimestampAscending),
            next_token: token,
            ..data(queries())
        };
        let page = world.metrics.get_metric_data(&world.context, input).unwrap();
        found.extend(page.metric_data_results.unwrap().into_iter().flat_map(|result| result.values.unwrap()));
        pages += 1;
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((pages, found), (3, vec![0.0, 1.0, 2.0, 10.0, 10.0, 10.0]));
}

#[test]
fn queries_that_cannot_be_answered_are_refused() {
    let world = World::new();
    let check = |input: GetMetricDataInput, wanted: &str| {
        let error = world.metrics.get_metric_data(&world.context, input).unwrap_err();
        match ApiError::from(error) {
            ApiError::Common(CommonError::Validation(text)) => assert!(text.contains(wanted), "{text}"),
            other => panic!("{other:?}"),
        }
    };
    let math = MetricDataQuery { expression: Some("a/2".to_owned()), id: "e".to_owned(), ..Default::default() };
    check(data(vec![query("a", "m", "Sum"), math]), "Expression of e is not supported");
    check(data(vec![query("a", "m", "Sum"), query("a", "n", "Sum")]), "not unique");
    check(data(vec![query("A", "m", "Sum")]), "expected pattern");
    check(data(vec![query("a", "m", "TM(10%:90%)")]), "Stat of a is not supported");
    check(data(vec![MetricDataQuery { id: "a".to_owned(), ..Default::default() }]), "Either MetricStat or Expression");
    check(data(vec![MetricDataQuery { label: Some("${MAX}".to_owned()), ..query("a", "m", "Sum") }]), "dynamic");
    check(data(vec![]), "between 1 and 500");
    check(GetMetricDataInput { end_time: START, ..data(vec![query("a", "m", "Sum")]) }, "StartTime must be less");
    let token = GetMetricDataInput { next_token: Some("x".to_owned()), ..data(vec![query("a", "m", "Sum")]) };
    let error = world.metrics.get_metric_data(&world.context, token).unwrap_err();
    assert!(matches!(error, GetMetricDataError::InvalidNextToken(_)));
}
