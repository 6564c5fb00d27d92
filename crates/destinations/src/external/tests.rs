//! Sends to a small server that notes what it gets. Roles are real.

use std::sync::{Arc, Mutex};

use millstream_env::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server that gives every request the same answer, and closes.
struct Outside {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
}

impl Outside {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (requests, tasks) = (Arc::<Mutex<Vec<String>>>::default(), Tasks::new());
        let noted = Arc::clone(&requests);
        tasks.spawn_dropped_on_cancel(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                noted.lock().unwrap().push(request);
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { endpoint, requests, tasks }
    }

    fn options(&self) -> Options {
        let endpoint = Some(self.endpoint.clone());
        let credentials = Some(Credentials::new("outside", "secret"));
        Options { sqs: endpoint.clone(), sns: endpoint.clone(), s3: endpoint, credentials, authorities: None }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return text;
        }
    }
}

fn delivery(arn: &str) -> Delivery {
    Delivery {
        destination: arn.parse().unwrap(),
        region: "us-west-2".parse().unwrap(),
        role_arn: "arn:aws:iam::123456789012:role/mill".to_owned(),
        document: r#"{"a":"ä&"}"#.into(),
        object_key: "aws/lambda/a b".to_owned(),
    }
}

async fn send(outside: &Outside, arn: &str) -> Result<(), DeliveryError> {
    let external = External::new(&outside.options(), &HostClock::real()).unwrap();
    external.send(&delivery(arn)).await
}

#[tokio::test]
async fn each_service_gets_its_own_signed_call() {
    for (arn, answer, line, scope, body) in [
        (
            "arn:aws:sqs:eu-west-1:123456789012:q",
            "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"MessageId\":\"1\"}",
            "POST / HTTP/1.1",
            "/eu-west-1/sqs/",
            r#"{"MessageBody":"{\"a\":\"ä&\"}","QueueUrl":"ENDPOINT/123456789012/q"}"#,
        ),
        (
            "arn:aws:sns:eu-west-1:123456789012:t",
            "HTTP/1.1 200 OK\r\ncontent-length: 24\r\nconnection: close\r\n\r\n<MessageId>1</MessageId>",
            "POST / HTTP/1.1",
            "/eu-west-1/sns/",
            "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3At&Message=%7B%22a%22%3A%22%C3%A4%26%22%7D",
        ),
        (
            "arn:aws:s3:::b",
            "HTTP/1.1 200 OK\r\netag: \"e\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "PUT /b/aws/lambda/a%20b HTTP/1.1",
            "/us-west-2/s3/",
            r#"{"a":"ä&"}"#,
        ),
    ] {
        let outside = Outside::start(answer).await;
        assert_eq!(send(&outside, arn).await, Ok(()), "{arn}");
        let request = outside.requests.lock().unwrap().pop().unwrap();
        let (head, sent) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(line) && head.contains(scope) && head.contains("Credential=outside/"), "{head}");
        assert_eq!(sent, body.replace("ENDPOINT", &outside.endpoint));
    }
}

#[tokio::test]
async fn answers_that_are_none_or_errors_are_no_deliveries() {
    let queue = "arn:aws:sqs:eu-west-1:123456789012:q";
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlogin";
    let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let missing = "HTTP/1.1 400 Bad Request\r\ncontent-length: 64\r\nconnection: close\r\n\r\n\
                   {\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no q\"}";
    for (answer, is_refused) in [(page, false), (busy, false), (missing, true), ("", false)] {
        let outside = Outside::start(answer).await;
        let error = send(&outside, queue).await.unwrap_err();
        assert_eq!(matches!(error, DeliveryError::Refused(_)), is_refused, "{error}");
    }
    let mut gone = Outside::start(page).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    gone.endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    assert!(matches!(send(&gone, queue).await, Err(DeliveryError::Unavailable(_))));
}

#[test]
fn options_are_checked_before_anything_is_sent() {
    let check = |options: Options, is_ok: bool| {
        assert_eq!(External::new(&options, &HostClock::real()).is_ok(), is_ok, "{options:?}");
    };
    let credentials = Some(Credentials::new("a", "b"));
    let with = |endpoint: &str| Options {
        sqs: Some(endpoint.to_owned()),
        credentials: credentials.clone(),
        ..Options::default()
    };
    check(Options::default(), true);
    check(with("http://localhost:1"), true);
    check(Options { credentials: None, ..with("http://localhost:1") }, false);
    check(with("ftp://localhost:1"), false);
    check(Options { authorities: Some(b"nonsense".to_vec()), ..with("https://localhost:1") }, false);
}
