//! The gateways that fetches share.

use super::error::{js, make, to_js};
use interplanar_core::fetch::{Gateway, GatewayPool, Policy};
use js_sys::{Array, Object, Reflect};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `GatewayReport[]`.
    #[wasm_bindgen(typescript_type = "GatewayReport[]")]
    pub type GatewayReports;
}

/// Trustless gateways, and how each has behaved. Create one and use it for all fetches: a gateway
/// that sent wrong data to one fetch is avoided by all.
#[wasm_bindgen]
pub struct Gateways {
    pub(super) pool: Rc<RefCell<GatewayPool>>,
}

#[wasm_bindgen]
impl Gateways {
    /// Creates a pool from addresses like `http(s)://host[:port][/prefix]`. The first ones are
    /// preferred until their speed is known.
    ///
    /// Throws `GATEWAY_URL_…` for an invalid address.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "string[]")] urls: &Array,
    ) -> Result<Gateways, JsValue> {
        let mut gateways = Vec::new();
        for url in urls.iter() {
            let Some(url) = url.as_string() else {
                return Err(make("expected strings", "GATEWAY_URL_TYPE", None, None));
            };
            gateways.push(Gateway::parse(&url).map_err(js)?);
        }
        Ok(Self {
            pool: Rc::new(RefCell::new(GatewayPool::new(gateways, Policy::default()))),
        })
    }

    /// Returns a report about each gateway, in the order of the constructor.
    pub fn reports(&self) -> Result<GatewayReports, JsValue> {
        let now_ms = crate::driver::now_ms() as u64;
        let reports = self.pool.borrow().reports(now_ms);
        let list = Array::new();
        for report in reports {
            let value = Object::new();
            let set = |name: &str, field: JsValue| {
                Reflect::set(&value, &JsValue::from_str(name), &field).map(drop)
            };
            set("url", JsValue::from_str(&report.url))?;
            let backoff_ms = report
                .backoff_until_ms
                .map(|until_ms| until_ms.saturating_sub(now_ms));
            for (name, number) in [
                ("requests", Some(report.requests)),
                ("bytes", Some(report.bytes)),
                ("faults", Some(report.faults)),
                ("backoffMs", backoff_ms),
                ("latencyMs", report.latency_ms),
                ("rate", report.rate),
            ] {
                if let Some(number) = number {
                    set(name, JsValue::from_f64(number as f64))?;
                }
            }
            if let Some(fault) = &report.last_fault {
                set("lastFault", to_js(fault))?;
            }
            list.push(&value);
        }
        Ok(list.unchecked_into())
    }
}
