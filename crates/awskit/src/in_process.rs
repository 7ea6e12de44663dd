//! An HTTP client for the SDK that hands each request to a function instead of a socket. The simulated AWS is reached
//! by it without a port, so that tests may stop and move the clock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

type Answer = Pin<Box<dyn Future<Output = Option<http::Response<Bytes>>> + Send>>;
type Handler = Arc<dyn Fn(http::Request<Bytes>) -> Answer + Send + Sync>;

#[derive(Clone)]
struct InProcess(Handler);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let handler = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // A streaming body has no bytes in memory; none of our calls has one.
            let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            let Some(response) = handler(request).await else {
                return Err(ConnectorError::io("the connection was dropped before an answer came".into()));
            };
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// An HTTP client that answers every request with `handler`. `None` stands for a connection that was dropped.
pub fn in_process<F, Fut>(handler: F) -> SharedHttpClient
where
    F: Fn(http::Request<Bytes>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Option<http::Response<Bytes>>> + Send + 'static,
{
    SharedHttpClient::new(InProcess(Arc::new(move |request| Box::pin(handler(request)))))
}
