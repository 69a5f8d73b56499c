//! The events of a running fetch.

use super::error::to_js;
use interplanar_core::cid;
use interplanar_core::fetch::{Event, GatewayPool, Origin, Summary};
use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// Converts an event to `FetchEvent` of types.d.ts. Returns none if JavaScript has no such event.
pub(super) fn event(event: &Event, pool: &GatewayPool) -> Option<JsValue> {
    let url = |gateway: usize| JsValue::from_str(pool.url(gateway).unwrap_or_default());
    Some(match event {
        Event::Resolved { cid } => {
            object("resolved", &[("cid", JsValue::from_str(&cid::text(cid)))])
        }
        Event::Size { bytes } => object("size", &[("bytes", number(*bytes))]),
        Event::Progress {
            from,
            block,
            blocks,
            bytes,
        } => {
            let from = match from {
                Origin::Local => JsValue::NULL,
                Origin::Gateway(gateway) => url(*gateway),
            };
            let fields = [
                ("gateway", from),
                ("block", number(*block)),
                ("blocks", number(*blocks)),
                ("bytes", number(*bytes)),
            ];
            object("progress", &fields)
        }
        Event::GatewayFault { gateway, fault } => object(
            "fault",
            &[("gateway", url(*gateway)), ("error", to_js(fault))],
        ),
        _ => return None,
    })
}

/// Returns the last event of a successful fetch.
pub(super) fn done(summary: &Summary) -> JsValue {
    let fields = [
        ("bytes", number(summary.bytes)),
        ("blocks", number(summary.blocks)),
        ("localBlocks", number(summary.local_blocks)),
        ("networkBytes", number(summary.network_bytes)),
    ];
    object("done", &fields)
}

pub(super) fn object(kind: &str, fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    let kind = ("type", JsValue::from_str(kind));
    for (name, value) in std::iter::once(&kind).chain(fields) {
        // Only frozen objects refuse, and this one is new.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

pub(super) fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}
