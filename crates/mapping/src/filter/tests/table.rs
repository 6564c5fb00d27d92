//! The rows of the reference (event source mapping reference, section 8) and EventBridge's rules, one case a line.

use super::{parse, passes};

#[track_caller]
fn check(pattern: &str, data: &str, expected: bool) {
    assert_eq!(passes(&[pattern], data.as_bytes()), expected, "{pattern} on {data}");
}

/// `test` is asked of `value`, both JSON.
#[track_caller]
fn check_value(test: &str, value: &str, expected: bool) {
    check(&format!(r#"{{"data":{{"k":[{test}]}}}}"#), &format!(r#"{{"k":{value}}}"#), expected);
}

#[track_caller]
fn refused(pattern: &str) {
    assert!(parse(&[pattern]).is_err(), "{pattern}");
}

/// A pattern with `test` at a leaf is refused.
#[track_caller]
fn test_refused(test: &str) {
    refused(&format!(r#"{{"data":{{"k":[{test}]}}}}"#));
}

#[test]
fn what_data_and_pattern_are_decides() {
    check(r#"{"data":{"a":["x"]}}"#, r#"{"a":"x"}"#, true);
    check(r#"{"data":{"a":["x"]}}"#, r#"{"a":"y"}"#, false);
    check(r#"{"partitionKey":["key-1"]}"#, r#"{"a":"y"}"#, true);
    refused(r#"{"data":"x"}"#);
    refused(r#"{"data":["x","y"]}"#);
    refused(r#"{"$or":[{"data":["x"]},{"partitionKey":["1"]}]}"#);
    check(r#"{"data":{"a":["x"]}}"#, "plain text", false);
    check(r#"{"data":{"a":[{"exists":false}]}}"#, "plain text", false);
    check(r#"{"data":{"a":[{"exists":false}]}}"#, "{}", true);
    check(r#"{"partitionKey":["key-1"]}"#, "plain text", true);
    check(r#"{"partitionKey":["key-2"]}"#, "plain text", false);
    check(r#"{"partitionKey":["key-1"],"data":{"a":["x"]}}"#, "plain text", false);
}

#[test]
fn metadata_is_visible_and_nothing_else() {
    check(r#"{"kinesisSchemaVersion":["1.0"]}"#, "", true);
    check(r#"{"sequenceNumber":[{"prefix":"4959033827149"}]}"#, "", true);
    check(r#"{"approximateArrivalTimestamp":[1545084650.98]}"#, "", true);
    check(r#"{"approximateArrivalTimestamp":[{"numeric":[">=",1545084650,"<",1545084651]}]}"#, "", true);
    check(r#"{"approximateArrivalTimestamp":["1545084650.98"]}"#, "", false);
    for absent in
        ["eventSource", "eventSourceARN", "awsRegion", "eventVersion", "invokeIdentityArn", "eventID", "eventName"]
    {
        check(&format!(r#"{{"{absent}":[{{"exists":false}}]}}"#), "", true);
        check(&format!(r#"{{"{absent}":[{{"exists":true}}]}}"#), "", false);
    }
    check(r#"{"kinesis":{"partitionKey":["key-1"]}}"#, "", false);
    check(r#"{"partitionKey":{"a":[{"exists":false}]}}"#, "", true);
}

#[test]
fn filters_are_ored_keys_anded_values_ored() {
    assert!(passes(&[], b"anything"));
    let (a, b) = (r#"{"data":{"a":[1]}}"#, r#"{"data":{"b":[1,2]},"partitionKey":["key-1"]}"#);
    assert!(passes(&[a, b], br#"{"a":1}"#));
    assert!(passes(&[a, b], br#"{"b":2}"#));
    assert!(!passes(&[a, b], br#"{"a":2,"b":3}"#));
    check(r#"{"data":{"a":[1],"b":[2]}}"#, r#"{"a":1,"b":2}"#, true);
    check(r#"{"data":{"a":[1],"b":[2]}}"#, r#"{"a":1,"b":1}"#, false);
    check(r#"{"data":{"a":[1],"b":[2]}}"#, r#"{"a":1}"#, false);
    check(r#"{"data":{"a":[1]},"data":{"b":[2]}}"#, r#"{"b":2}"#, true);
    check(r#"{"data":{"a":[1],"a":[2]}}"#, r#"{"a":2}"#, true);
    check(r#"{"data":{"a":[1],"a":[2]}}"#, r#"{"a":1}"#, false);
}

#[test]
fn plain_values_are_equal_as_they_are_written() {
    check_value("null", "null", true);
    check_value("null", r#""null""#, false);
    check_value(r#""""#, r#""""#, true);
    check_value(r#""""#, "null", false);
    check_value(r#""Alice""#, r#""Alice""#, true);
    check_value(r#""Alice""#, r#""alice""#, false);
    check_value(r#""Alice""#, r#""\u0041lice""#, true);
    check_value(r#""\ud83d\ude00""#, "\"\u{1F600}\"", true);
    check_value("true", "true", true);
    check_value("true", r#""true""#, false);
    check_value("300", "300", true);
    check_value("300", "300.0", false);
    check_value("300", "3.0e2", false);
    check_value("300.0", "300.0", true);
    check_value("300", r#""300""#, false);
    check_value(r#""300""#, "300", false);
    check_value("123456789012345678901234567890", "123456789012345678901234567890", true);
}

#[test]
fn or_spans_keys() {
    let pattern = r#"{"data":{"s":["x"],"$or":[{"a":[1]},{"b":[2],"c":[3]}]}}"#;
    check(pattern, r#"{"s":"x","a":1}"#, true);
    check(pattern, r#"{"s":"x","b":2,"c":3}"#, true);
    check(pattern, r#"{"s":"x","b":2}"#, false);
    check(pattern, r#"{"s":"y","a":1}"#, false);
    let root = r#"{"$or":[{"partitionKey":["key-2"]},{"data":{"a":[1]}}]}"#;
    check(root, r#"{"a":1}"#, true);
    check(root, "not json", false);
    check(&root.replace("key-2", "key-1"), "not json", true);
    let nested = r#"{"data":{"$or":[{"a":[1]},{"b":[1],"$or":[{"c":[1]},{"d":[1]}]}]}}"#;
    check(nested, r#"{"b":1,"d":1}"#, true);
    check(nested, r#"{"d":1}"#, false);
    let same_key = r#"{"data":{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}}"#;
    check(same_key, r#"{"a":"xy"}"#, true);
    check(same_key, r#"{"a":"x"}"#, false);
    for bad in [
        r#"{"$or":[{"a":[1]}]}"#,
        r#"{"$or":{"a":[1]}}"#,
        r#"{"$or":["a","b"]}"#,
        r#"{"$or":[]}"#,
        r#"{"$or":[{"a":[1]},{}]}"#,
        r#"{"$or":[{"prefix":["a"]},{"numeric":[1]}]}"#,
    ] {
        refused(bad);
    }
}

#[test]
fn anything_but() {
    check_value(r#"{"anything-but":["Raining"]}"#, r#""Sunny""#, true);
    check_value(r#"{"anything-but":["Raining"]}"#, r#""Raining""#, false);
    check_value(r#"{"anything-but":"Raining"}"#, r#""Raining""#, false);
    check_value(r#"{"anything-but":"Raining"}"#, "5", true);
    check_value(r#"{"anything-but":"Raining"}"#, "null", true);
    check_value(r#"{"anything-but":[100,200]}"#, "200", false);
    check_value(r#"{"anything-but":[100,200]}"#, "2.00e2", false);
    check_value(r#"{"anything-but":100}"#, "101", true);
    check_value(r#"{"anything-but":{"prefix":"in"}}"#, r#""init""#, false);
    check_value(r#"{"anything-but":{"prefix":["in","out"]}}"#, r#""outer""#, false);
    check_value(r#"{"anything-but":{"suffix":"it"}}"#, r#""init""#, false);
    check_value(r#"{"anything-but":{"suffix":"it"}}"#, r#""inits""#, true);
    check_value(r#"{"anything-but":{"equals-ignore-case":["INIT","x"]}}"#, r#""init""#, false);
    check_value(r#"{"anything-but":{"equals-ignore-case":"INIT"}}"#, r#""inits""#, true);
    check_value(r#"{"anything-but":{"wildcard":"*/lib/*"}}"#, r#""/usr/lib/x""#, false);
    check_value(r#"{"anything-but":{"wildcard":"*/lib/*"}}"#, r#""/usr/x""#, true);
    check_value(r#"{"anything-but":["x"]}"#, r#"["x","y"]"#, true);
    check_value(r#"{"anything-but":["x"]}"#, "{}", false);
    check(r#"{"data":{"k":[{"anything-but":["x"]}]}}"#, "{}", false);
    for bad in [
        r#"{"anything-but":[]}"#,
        r#"{"anything-but":["a",1]}"#,
        r#"{"anything-but":null}"#,
        r#"{"anything-but":[true]}"#,
        r#"{"anything-but":{"prefix":""}}"#,
        r#"{"anything-but":{"prefix":1}}"#,
        r#"{"anything-but":{"numeric":["=",1]}}"#,
        r#"{"anything-but":{"prefix":"a","suffix":"b"}}"#,
        r#"{"anything-but":{}}"#,
    ] {
        test_refused(bad);
    }
}

#[test]
fn numeric() {
    check_value(r#"{"numeric":["=",100]}"#, "100", true);
    check_value(r#"{"numeric":["=",100]}"#, "1.0e2", true);
    check_value(r#"{"numeric":["=",100]}"#, r#""100""#, false);
    check_value(r#"{"numeric":[">",10,"<=",20]}"#, "10", false);
    check_value(r#"{"numeric":[">",10,"<=",20]}"#, "10.000001", true);
    check_value(r#"{"numeric":[">",10,"<=",20]}"#, "20", true);
    check_value(r#"{"numeric":[">",10,"<=",20]}"#, "20.000001", false);
    check_value(r#"{"numeric":["<",0.3]}"#, "0.30000000000000004", false);
    check_value(r#"{"numeric":["=",0.3]}"#, "0.30", true);
    check_value(r#"{"numeric":[">=",-5e9]}"#, "-5000000000", true);
    check_value(r#"{"numeric":[">=",0]}"#, "5000000001", false);
    check_value(r#"{"numeric":[">=",0]}"#, "1e400", false);
    for bad in [
        r#"{"numeric":["=",5000000001]}"#,
        r#"{"numeric":["=","5"]}"#,
        r#"{"numeric":["!=",5]}"#,
        r#"{"numeric":[5,"="]}"#,
        r#"{"numeric":["="]}"#,
        r#"{"numeric":[]}"#,
        r#"{"numeric":5}"#,
        r#"{"numeric":["<",5,">",1]}"#,
        r#"{"numeric":[">",5,"<",5]}"#,
        r#"{"numeric":[">",1,"=",5]}"#,
        r#"{"numeric":[">",1,"<",5,"<",6]}"#,
    ] {
        test_refused(bad);
    }
}

#[test]
fn exists_is_about_leaves() {
    check_value(r#"{"exists":true}"#, "null", true);
    check_value(r#"{"exists":true}"#, r#""""#, true);
    check_value(r#"{"exists":true}"#, r#"{"a":1}"#, false);
    check_value(r#"{"exists":false}"#, r#"{"a":1}"#, true);
    check_value(r#"{"exists":false}"#, "1", false);
    check_value(r#"{"exists":true}"#, "[]", false);
    check_value(r#"{"exists":false}"#, "[[]]", true);
    check_value(r#"{"exists":false}"#, "[[],1]", false);
    check_value(r#""x",{"exists":false}"#, r#""x""#, true);
    check_value(r#""x",{"exists":false}"#, r#""y""#, false);
    check(r#"{"data":{"k":["x",{"exists":false}]}}"#, "{}", true);
    check(r#"{"data":{"k":{"l":[{"exists":false}]}}}"#, "{}", true);
    check(r#"{"data":{"k":{"l":[{"exists":false}]}}}"#, r#"{"k":"scalar"}"#, true);
    test_refused(r#"{"exists":"true"}"#);
    test_refused(r#"{"exists":null}"#);
}

#[test]
fn texts() {
    check_value(r#"{"prefix":"us-"}"#, r#""us-east-1""#, true);
    check_value(r#"{"prefix":"us-"}"#, r#""eu-us-""#, false);
    check_value(r#"{"prefix":""}"#, r#""""#, true);
    check_value(r#"{"prefix":"1"}"#, "1", false);
    check_value(r#"{"suffix":".png"}"#, r#""a.png""#, true);
    check_value(r#"{"suffix":".png"}"#, r#""a.PNG""#, false);
    check_value(r#"{"prefix":{"equals-ignore-case":"EventB"}}"#, r#""EVENTBridge""#, true);
    check_value(r#"{"prefix":{"equals-ignore-case":"EventB"}}"#, r#""event""#, false);
    check_value(r#"{"suffix":{"equals-ignore-case":".png"}}"#, r#""a.PnG""#, true);
    check_value(r#"{"suffix":{"equals-ignore-case":".png"}}"#, r#""png""#, false);
    check_value(r#"{"equals-ignore-case":"alice"}"#, r#""ALICE""#, true);
    check_value(r#"{"equals-ignore-case":"alice"}"#, r#""ALICES""#, false);
    check_value(r#"{"equals-ignore-case":"änne"}"#, r#""ÄNNE""#, true);
    check_value(r#"{"wildcard":"dir/*.png"}"#, r#""dir/a.png""#, true);
    check_value(r#"{"wildcard":"dir/*.png"}"#, r#""dir/a.jpg""#, false);
    check_value(r#"{"cidr":"10.0.0.0/24"}"#, r#""10.0.0.33""#, true);
    check_value(r#"{"cidr":"10.0.0.0/24"}"#, r#""10.0.1.33""#, false);
    for bad in [
        r#"{"prefix":1}"#,
        r#"{"prefix":{"prefix":"a"}}"#,
        r#"{"suffix":["a"]}"#,
        r#"{"equals-ignore-case":null}"#,
        r#"{"wildcard":"a**b"}"#,
        r#"{"cidr":"10.0.0.0"}"#,
        r#"{"contains":"a"}"#,
        r#"{"prefix":"a","suffix":"b"}"#,
        "{}",
        r#"["nested"]"#,
    ] {
        test_refused(bad);
    }
}

#[test]
fn arrays_match_by_any_element() {
    check_value(r#""x""#, r#"["y","x"]"#, true);
    check_value(r#""x""#, r#"["y",["x"]]"#, true);
    check_value(r#""x""#, r#"["y",{"x":"x"}]"#, false);
    check(r#"{"data":{"k":["x"]}}"#, r#"[{"k":"y"},{"k":"x"}]"#, true);
}

#[test]
fn conditions_below_an_array_hold_in_one_element() {
    let data = r#"{"e":[{"f":"John","l":"Doe"},{"f":"Anna","l":"Smith"},[{"f":"Peter","l":"Jones","x":1}]]}"#;
    check(r#"{"data":{"e":{"f":["Anna"]}}}"#, data, true);
    check(r#"{"data":{"e":{"f":["Anna"],"l":["Smith"]}}}"#, data, true);
    check(r#"{"data":{"e":{"f":["Anna"],"l":["Jones"]}}}"#, data, false);
    check(r#"{"data":{"e":{"f":["Peter"],"l":["Jones"]}}}"#, data, true);
    check(r#"{"data":{"e":{"f":["Anna"],"x":[{"exists":false}]}}}"#, data, true);
    check(r#"{"data":{"e":{"f":["Peter"],"x":[{"exists":false}]}}}"#, data, false);
    check(r#"{"data":{"e":{"x":[{"exists":false}]}}}"#, data, false);
    check(r#"{"data":{"e":{"$or":[{"f":["Anna"]},{"f":["John"]}],"l":["Doe"]}}}"#, data, true);
    check(r#"{"data":{"e":{"l":["Jones"]},"$or":[{"e":{"f":["Anna"]}},{"z":[1]}]}}"#, data, false);
}

#[test]
fn of_equal_keys_in_the_data_the_last_counts() {
    check(r#"{"data":{"a":[1]}}"#, r#"{"a":1,"a":2}"#, false);
    check(r#"{"data":{"a":[2]}}"#, r#"{"a":1,"a":2}"#, true);
    check(r#"{"data":{"a":{"b":[1]}}}"#, r#"{"a":{"b":1},"a":3}"#, false);
}

#[test]
fn patterns_that_are_no_patterns_are_refused() {
    for bad in [
        "",
        "single-string",
        r#"[{"eventName": ["INSERT"=123}]"#,
        r#"["a"]"#,
        "null",
        "{}",
        r#"{"a":1}"#,
        r#"{"a":"x"}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":[[1]]}"#,
        r#"{"a":[1]} x"#,
        r#"{"a":[01]}"#,
    ] {
        refused(bad);
    }
    let error = parse(&[r#"{"a":[1]}"#, "{}"]).unwrap_err();
    assert_eq!((error.filter, error.to_string().as_str()), (1, "filter 1: an object of a pattern is not empty"));
}
