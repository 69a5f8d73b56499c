//! Which gateways there are: those of the configuration, and a local one if it answers.

use super::Task;
use futures_util::future::{Either, select};
use interplanar_core::fetch::{Event, Gateway, GatewayPool, Policy};
use interplanar_wasm::driver::{open, sleep};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// The empty identity CID: every gateway has it (the trustless gateway specification, "probing").
const PROBE: &str = "/ipfs/bafkqaaa?format=raw";
/// How long a local gateway may take to answer.
const PROBE_TIME: Duration = Duration::from_millis(1500);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(text: &str);
}

/// Tells the log of the runtime.
pub(super) fn warn(text: &str) {
    console_warn(&format!("interplanar: {text}"));
}

impl Task {
    /// The gateways, with what is known of them in this isolate.
    pub(super) async fn pool(&self) -> Rc<RefCell<GatewayPool>> {
        if let Some(pool) = &*self.shared.pool.borrow() {
            return Rc::clone(pool);
        }
        let mut gateways = self.config().gateways.clone();
        if let Some(local) = &self.config().local_gateway
            && !gateways.contains(local)
            && self.answers(local).await
        {
            gateways.insert(0, local.clone());
        }
        let pool = Rc::new(RefCell::new(GatewayPool::new(gateways, Policy::default())));
        Rc::clone(self.shared.pool.borrow_mut().get_or_insert(pool))
    }

    /// Whether there is a trustless gateway.
    async fn answers(&self, gateway: &Gateway) -> bool {
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

    /// Tells the log which gateway did what.
    pub(super) fn watch(pool: &Rc<RefCell<GatewayPool>>) -> impl FnMut(&Event) + 'static {
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
