//! The gateways of a request: the configured ones, and a local one if it answers.

use super::Task;
use futures_util::future::{Either, select};
use interplanar_core::fetch::{Event, Gateway, GatewayPool, Policy};
use interplanar_wasm::driver::{open, sleep};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// The empty identity CID, which every gateway has (trustless gateway specification, "probing").
const PROBE: &str = "/ipfs/bafkqaaa?format=raw";
/// Longest wait for a local gateway.
const PROBE_TIME: Duration = Duration::from_millis(1500);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(text: &str);
}

/// Writes to the runtime's log.
pub(super) fn warn(text: &str) {
    console_warn(&format!("interplanar: {text}"));
}

impl Task {
    /// Returns this isolate's gateways, with what it has learned about them.
    pub(super) async fn pool(&self) -> Rc<RefCell<GatewayPool>> {
        if let Some(pool) = &*self.state.pool.borrow() {
            return Rc::clone(pool);
        }
        let mut gateways = self.config().gateways.clone();
        if let Some(local) = &self.config().local_gateway
            && !gateways.contains(local)
            && self.is_gateway(local).await
        {
            gateways.insert(0, local.clone());
        }
        let pool = Rc::new(RefCell::new(GatewayPool::new(gateways, Policy::default())));
        Rc::clone(self.state.pool.borrow_mut().get_or_insert(pool))
    }

    /// Whether a trustless gateway answers at this address.
    async fn is_gateway(&self, gateway: &Gateway) -> bool {
        let url = format!("{}{PROBE}", gateway.url);
        let probing = pin!(async {
            let opened = open(&self.client, &url, None).await;
            let Ok(mut answer) = opened else {
                return false;
            };
            answer.status() == 200 && matches!(answer.next().await, Ok(None))
        });
        match select(probing, pin!(sleep(PROBE_TIME))).await {
            Either::Left((answers, _)) => answers,
            Either::Right(_) => false,
        }
    }

    /// Returns a listener that logs the errors of gateways.
    pub(super) fn log_faults(pool: &Rc<RefCell<GatewayPool>>) -> impl FnMut(&Event) + 'static {
        let urls: Vec<String> = pool
            .borrow()
            .reports(0)
            .into_iter()
            .map(|report| report.url)
            .collect();
        move |event| {
            if let Event::GatewayFault { gateway, fault } = event {
                let url = urls.get(*gateway).map_or("a gateway", String::as_str);
                warn(&format!("{url}: {fault}"));
            }
        }
    }
}
