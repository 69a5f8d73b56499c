//! The options of a fetch.

use super::blocks::JsBlocks;
use super::error::make;
use crate::driver::{Client, HttpCache, LocalBlocks, Redirect};
use interplanar_core::fetch::{ByteRange, Options};
use interplanar_core::unixfs::Budget;
use js_sys::{Function, Reflect};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// See types.d.ts.
    #[wasm_bindgen(typescript_type = "FetchOptions")]
    pub type FetchOptions;

    #[wasm_bindgen(method, getter)]
    pub(super) fn signal(this: &FetchOptions) -> Option<AbortSignal>;

    #[wasm_bindgen(method, getter, js_name = onEvent)]
    pub(super) fn on_event(this: &FetchOptions) -> Option<Function>;

    #[wasm_bindgen(method, getter)]
    fn blocks(this: &FetchOptions) -> Option<JsBlocks>;

    #[wasm_bindgen(method, getter)]
    fn redirect(this: &FetchOptions) -> Option<String>;
}

/// The parsed options of a fetch.
pub(super) struct FetchSettings {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) blocks: Option<Rc<dyn LocalBlocks>>,
}

impl FetchSettings {
    pub(super) fn new(this: Option<&FetchOptions>) -> Result<Self, JsValue> {
        let redirect = match this.and_then(FetchOptions::redirect).as_deref() {
            Some("follow") | None => Redirect::Follow,
            Some("manual") => Redirect::Manual,
            Some(_) => return Err(invalid("redirect", "\"follow\" or \"manual\"")),
        };
        let blocks = this.and_then(FetchOptions::blocks);
        let cache = match &blocks {
            Some(_) => HttpCache::NoStore,
            None => HttpCache::Default,
        };
        let options = match this {
            Some(this) => read(this)?,
            None => Options::default(),
        };
        Ok(Self {
            client: Client::new(redirect, cache),
            options,
            blocks: blocks.map(|blocks| Rc::new(blocks) as Rc<dyn LocalBlocks>),
        })
    }
}

/// Reads the numeric options.
fn read(this: &JsValue) -> Result<Options, JsValue> {
    let own = Options::default();
    let or = |name, default| number(this, name).map(|number| number.unwrap_or(default));
    let size = |name, default: usize| {
        let number = or(name, default as u64)?;
        Ok::<_, JsValue>(usize::try_from(number).unwrap_or(usize::MAX))
    };
    let budget = Budget {
        blocks: or("maxBlocks", own.budget.blocks)?,
        output: or("maxBytes", own.budget.output)?,
        #[cfg(feature = "full")]
        entries: or("maxEntries", own.budget.entries)?,
        #[cfg(feature = "full")]
        names: or("maxNames", own.budget.names)?,
        ..own.budget
    };
    Ok(Options {
        range: range(this)?,
        budget,
        max_buffer: size("maxBuffer", own.max_buffer)?,
        in_flight: size("inFlight", own.in_flight)?,
        race_after_ms: or("raceAfterMs", own.race_after_ms)?,
        stall_ms: or("stallMs", own.stall_ms)?,
        request_timeout_ms: or("requestTimeoutMs", own.request_timeout_ms)?,
        patience_ms: or("patienceMs", own.patience_ms)?,
        ..own
    })
}

fn range(this: &JsValue) -> Result<Option<ByteRange>, JsValue> {
    let range = get(this, "range")?;
    if range.is_null() || range.is_undefined() {
        return Ok(None);
    }
    let from = number(&range, "from")?.ok_or_else(|| invalid("range.from", "a number"))?;
    let to = number(&range, "to")?;
    Ok(Some(ByteRange { from, to }))
}

fn get(object: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    Reflect::get(object, &JsValue::from_str(name)).map_err(|_| invalid("options", "an object"))
}

/// Reads a number that isn't negative. Infinity becomes the largest `u64`.
fn number(object: &JsValue, name: &str) -> Result<Option<u64>, JsValue> {
    let value = get(object, name)?;
    if value.is_null() || value.is_undefined() {
        return Ok(None);
    }
    match value.as_f64() {
        Some(number) if number >= 0.0 => Ok(Some(number as u64)),
        _ => Err(invalid(name, "a number from 0 on")),
    }
}

fn invalid(name: &str, expected: &str) -> JsValue {
    let message = format!("{name}: expected {expected}");
    make(&message, "OPTIONS", None, None)
}
