//! The documents of the AWS-managed policies that are built in.

use super::ManagedPolicy;

/// All of them.
pub(super) const ALL: &[ManagedPolicy] = &[
    ManagedPolicy {
        path: "/service-role/",
        name: "AWSLambdaKinesisExecutionRole",
        version: "v2",
        text: include_str!("text/AWSLambdaKinesisExecutionRole.json"),
    },
    ManagedPolicy {
        path: "/service-role/",
        name: "AWSLambdaBasicExecutionRole",
        version: "v1",
        text: include_str!("text/AWSLambdaBasicExecutionRole.json"),
    },
    ManagedPolicy {
        path: "/service-role/",
        name: "AWSLambdaRole",
        version: "v1",
        text: include_str!("text/AWSLambdaRole.json"),
    },
    ManagedPolicy {
        path: "/service-role/",
        name: "AWSLambdaSQSQueueExecutionRole",
        version: "v1",
        text: include_str!("text/AWSLambdaSQSQueueExecutionRole.json"),
    },
    ManagedPolicy {
        path: "/service-role/",
        name: "AWSLambdaVPCAccessExecutionRole",
        version: "v3",
        text: include_str!("text/AWSLambdaVPCAccessExecutionRole.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonKinesisFullAccess",
        version: "v1",
        text: include_str!("text/AmazonKinesisFullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonKinesisReadOnlyAccess",
        version: "v1",
        text: include_str!("text/AmazonKinesisReadOnlyAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AWSLambda_FullAccess",
        version: "v7",
        text: include_str!("text/AWSLambda_FullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AWSLambda_ReadOnlyAccess",
        version: "v5",
        text: include_str!("text/AWSLambda_ReadOnlyAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AWSLambdaExecute",
        version: "v1",
        text: include_str!("text/AWSLambdaExecute.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonSQSFullAccess",
        version: "v1",
        text: include_str!("text/AmazonSQSFullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonSQSReadOnlyAccess",
        version: "v4",
        text: include_str!("text/AmazonSQSReadOnlyAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonSNSFullAccess",
        version: "v2",
        text: include_str!("text/AmazonSNSFullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonSNSReadOnlyAccess",
        version: "v2",
        text: include_str!("text/AmazonSNSReadOnlyAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AmazonS3FullAccess",
        version: "v2",
        text: include_str!("text/AmazonS3FullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "CloudWatchLogsFullAccess",
        version: "v8",
        text: include_str!("text/CloudWatchLogsFullAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "CloudWatchLogsReadOnlyAccess",
        version: "v12",
        text: include_str!("text/CloudWatchLogsReadOnlyAccess.json"),
    },
    ManagedPolicy { path: "/", name: "IAMFullAccess", version: "v2", text: include_str!("text/IAMFullAccess.json") },
    ManagedPolicy {
        path: "/",
        name: "IAMReadOnlyAccess",
        version: "v4",
        text: include_str!("text/IAMReadOnlyAccess.json"),
    },
    ManagedPolicy {
        path: "/",
        name: "AdministratorAccess",
        version: "v1",
        text: include_str!("text/AdministratorAccess.json"),
    },
];
