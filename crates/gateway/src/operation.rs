//! Operations as a table: how each is called, and what its caller needs to be allowed.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;

use millstream_env::BoxFuture;
use millstream_iam::RequestContext;
use millstream_wire::typed::Typed;
use millstream_wire::{ApiError, Operation, OperationShape, Service, Value};

/// A permission that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// `kinesis:PutRecord`
    pub(crate) action: String,
    /// The ARN as denials print it, or `*`.
    pub(crate) resource: String,
}

impl Need {
    pub(crate) fn new(action: impl Into<String>, resource: impl fmt::Display) -> Self {
        Self { action: action.into(), resource: resource.to_string() }
    }
}

/// A request that is decoded and checked. Nothing is done before the call's future is polled, so that a denied call can
/// simply be dropped.
pub(crate) struct Prepared {
    pub(crate) needs: BoxFuture<'static, Vec<Need>>,
    pub(crate) call: BoxFuture<'static, Result<Value, ApiError>>,
}

type Prepare = Box<dyn Fn(&RequestContext, Value) -> Prepared + Send + Sync>;

/// One operation of the table.
pub(crate) struct Entry {
    pub(crate) shape: &'static OperationShape,
    /// Takes a value that passed the constraints of the input's shape.
    pub(crate) prepare: Prepare,
}

/// The operations of one service.
pub(crate) struct Table {
    pub(crate) service: &'static Service,
    entries: HashMap<&'static str, Entry>,
}

impl Table {
    pub(crate) fn new(service: &'static Service) -> Self {
        Self { service, entries: HashMap::new() }
    }

    /// Adds an operation: what its caller needs to be allowed, and the call itself.
    pub(crate) fn add<O, F, C>(&mut self, needs: fn(&RequestContext, &O::Input) -> Vec<Need>, call: C)
    where
        O: Operation,
        F: Future<Output = Result<O::Output, O::Error>> + Send + 'static,
        C: Fn(RequestContext, O::Input) -> F + Send + Sync + 'static,
    {
        self.add_with::<O, F, C, _>(needs, call);
    }

    /// As [`Table::add`], for needs that depend on more than the request.
    pub(crate) fn add_with<O, F, C, N>(&mut self, needs: N, call: C)
    where
        O: Operation,
        F: Future<Output = Result<O::Output, O::Error>> + Send + 'static,
        C: Fn(RequestContext, O::Input) -> F + Send + Sync + 'static,
        N: Fn(&RequestContext, &O::Input) -> Vec<Need> + Send + Sync + 'static,
    {
        self.add_asking::<O, F, C, _, _>(move |context, input| ready(needs(context, input)), call);
    }

    /// As [`Table::add`], for needs that have to be looked up.
    pub(crate) fn add_asking<O, F, C, N, M>(&mut self, needs: N, call: C)
    where
        O: Operation,
        F: Future<Output = Result<O::Output, O::Error>> + Send + 'static,
        C: Fn(RequestContext, O::Input) -> F + Send + Sync + 'static,
        N: Fn(&RequestContext, &O::Input) -> M + Send + Sync + 'static,
        M: Future<Output = Vec<Need>> + Send + 'static,
    {
        let prepare = move |context: &RequestContext, value: Value| {
            let input = O::Input::from_value(value);
            let needs = Box::pin(needs(context, &input));
            let call = call(context.clone(), input);
            let call = async move { call.await.map(Typed::into_value).map_err(Into::into) };
            Prepared { needs, call: Box::pin(call) }
        };
        let entry = Entry { shape: O::shape(), prepare: Box::new(prepare) };
        let previous = self.entries.insert(O::NAME, entry);
        assert!(previous.is_none(), "{} is registered twice", O::NAME);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Operations whose types exist but that nothing serves.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let names = self.service.operations.iter().map(|operation| operation.name);
        names.filter(|name| !self.entries.contains_key(name)).collect()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({}, {} operations)", self.service.name, self.entries.len())
    }
}

/// The call of a method of a service's handle, as [`Table::add`] takes it.
macro_rules! call {
    ($handle:ident.$method:ident) => {{
        let handle = $handle.clone();
        move |context: millstream_iam::RequestContext, input| {
            let handle = handle.clone();
            async move { handle.$method(&context, input).await }
        }
    }};
}
pub(crate) use call;
