//! The few things that are asked of librrd, in our own types.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keepwatch::export::graph::{GraphFormat, GraphRequest};
use keepwatch::export::rrd::graphs::{self, Element, Picture};
use keepwatch::export::rrd::layout::{Archive, Cf, Ds, DsType, Existing};
use keepwatch::export::rrd::wire::Value;
use rrd::ConsolidationFn;
use rrd::error::RrdError;
use rrd::ops::create::{self, DataSource, DataSourceName};
use rrd::ops::graph::elements::{self, AreaColor, ColorWithLegend, GraphElement, VarName};
use rrd::ops::graph::props::{self, ColorTag, GraphProps, ImageFormat};
use rrd::ops::graph::{self, Color};
use rrd::ops::info::{self, InfoValue};
use rrd::ops::update::{self, BatchTime, Datum};

/// Seconds since 1970 as librrd's crate has them.
pub fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn cf(cf: Cf) -> ConsolidationFn {
    match cf {
        Cf::Average => ConsolidationFn::Avg,
        Cf::Min => ConsolidationFn::Min,
        Cf::Max => ConsolidationFn::Max,
        Cf::Last => ConsolidationFn::Last,
    }
}

/// Makes a file that must not be there yet; the first update comes after `begin`.
pub fn create(
    path: &Path,
    step: u32,
    heartbeat: u32,
    begin: u64,
    sources: &[Ds],
    archives: &[Archive],
) -> Result<(), RrdError> {
    let sources = sources.iter().map(|ds| {
        let name = DataSourceName::new(ds.name)?;
        Ok(match ds.kind {
            DsType::Gauge => DataSource::gauge(&name, heartbeat, Some(0.0), ds.max.map(f64::from)),
            DsType::Derive => DataSource::derive(&name, heartbeat, Some(0), ds.max.map(u64::from)),
        })
    });
    let sources = sources.collect::<Result<Vec<DataSource>, RrdError>>()?;
    let archives = archives
        .iter()
        .map(|archive| Ok(create::Archive::new(cf(archive.cf), archive.xff, archive.steps, archive.rows)?))
        .collect::<Result<Vec<create::Archive>, RrdError>>()?;
    let step = Duration::from_secs(step.into());
    create::create(path, time(begin), step, true, None, &[], &sources, &archives)
}

/// Writes the values of one moment; of one that is not after the last in the file, nothing is written, and that is no
/// error.
pub fn update(path: &Path, at: u64, values: &[Value]) -> Result<(), RrdError> {
    let values: Vec<Datum> = values
        .iter()
        .map(|value| match *value {
            Value::Count(count) => Datum::Int(count),
            Value::Gauge(value) if value.is_finite() => Datum::Float(value),
            Value::Gauge(_) | Value::Unknown => Datum::Unspecified,
        })
        .collect();
    let options = update::Options { skip_past_updates: true };
    update::update_all(path, options, &[(BatchTime::Timestamp(time(at)), values)])
}

/// What a file is.
pub fn existing(path: &Path) -> Result<Existing, RrdError> {
    let items = info::info(path)?.into_iter().filter_map(|(key, value)| {
        let value = match value {
            InfoValue::Count(count) => count.to_string(),
            InfoValue::Int(number) => number.to_string(),
            InfoValue::String(text) => text,
            InfoValue::Value(number) => number.to_string(),
            InfoValue::Blob(_) => return None,
        };
        Some((key, value))
    });
    Ok(Existing::new(items))
}

/// The average of one data source from `start` to `end`; `None` when nothing is known of it.
pub fn average(path: &Path, ds: &str, start: u64, end: u64) -> Option<f64> {
    // A hundred rows are enough to see who is largest.
    let resolution = Duration::from_secs((end.saturating_sub(start) / 100).max(1));
    let data = rrd::ops::fetch::fetch(path, ConsolidationFn::Avg, time(start), time(end), resolution).ok()?;
    let at = data.ds_names().iter().position(|name| name == ds)?;
    let known = data.rows().iter().filter_map(|row| row.as_slice().get(at).copied()).filter(|value| value.is_finite());
    let (sum, count) = known.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Draws. Not for two threads at once.
pub fn draw(picture: &Picture, request: &GraphRequest, end: u64) -> Result<Vec<u8>, RrdError> {
    let format = match request.format {
        GraphFormat::Svg => ImageFormat::Svg,
        GraphFormat::Png => ImageFormat::Png,
    };
    let elements = picture.elements.iter().map(element).collect::<Result<Vec<GraphElement>, RrdError>>()?;
    let start = end.saturating_sub(request.span.as_secs());
    let (image, _) = graph::graph(format, &properties(picture, request, start, end), &elements)?;
    Ok(image)
}

fn properties(picture: &Picture, request: &GraphRequest, start: u64, end: u64) -> GraphProps {
    let (width, height) = if picture.legend_beside { (640, 240) } else { (400, 180) };
    // There is no room for a legend.
    let small = request.width < width || request.height < height;
    let position = picture.legend_beside.then_some(props::LegendPosition::East);
    let tags = [
        ColorTag::Back,
        ColorTag::Canvas,
        ColorTag::ShadeA,
        ColorTag::ShadeB,
        ColorTag::Grid,
        ColorTag::MGrid,
        ColorTag::Font,
        ColorTag::Axis,
        ColorTag::Arrow,
    ];
    let theme = graphs::theme(request.dark).tags();
    let colors = tags.into_iter().zip(theme.map(|(_, rgb)| color(graphs::Color(rgb, 0xff)))).collect();
    GraphProps {
        time_range: props::TimeRange { start: Some(time(start)), end: Some(time(end)), step_seconds: None },
        labels: props::Labels {
            title: Some(picture.title.clone()),
            vertical_label: (!small).then(|| picture.unit.to_owned()),
        },
        size: props::Size {
            width: Some(request.width),
            height: Some(request.height),
            full_size_mode: true,
            only_graph: false,
        },
        limits: props::Limits {
            upper_limit: picture.upper,
            lower_limit: picture.lower,
            rigid: picture.upper.is_some(),
            ..props::Limits::default()
        },
        right_y_axis: picture.right.filter(|_| !small).map(|(scale, label)| props::RightYAxis {
            scale: f64::from(scale),
            shift: 0,
            label: Some(label.to_owned()),
            formatter: None,
            format: None,
        }),
        legend: props::Legend { no_legend: small, legend_position: position, ..props::Legend::default() },
        misc: props::Misc {
            colors,
            border: Some(0),
            slope_mode: true,
            base: Some(picture.base),
            ..props::Misc::default()
        },
        ..GraphProps::default()
    }
}

fn element(element: &Element) -> Result<GraphElement, RrdError> {
    let name = |var: &String| VarName::new(var.clone());
    let legend = |text: &Option<String>| text.clone().map(elements::Legend::new);
    Ok(match element {
        Element::Def { var, path, ds, cf: function } => elements::Def {
            var_name: name(var)?,
            // The crate leaves the path as it is, and a colon would end it.
            rrd: graphs::escape(path).into(),
            ds_name: ds.clone(),
            consolidation_fn: cf(*function),
            step: None,
            start: None,
            end: None,
            reduce: None,
        }
        .into(),
        Element::Cdef { var, rpn } => elements::CDef { var_name: name(var)?, rpn: rpn.clone() }.into(),
        Element::Vdef { var, rpn } => elements::VDef { var_name: name(var)?, rpn: rpn.clone() }.into(),
        Element::Area { var, color: wanted, legend: text, stack } => elements::Area {
            value: name(var)?,
            color: Some(ColorWithLegend { color: AreaColor::Color(color(*wanted)), legend: legend(text) }),
            stack: *stack,
            skip_scale: false,
        }
        .into(),
        Element::Line { var, width, color: wanted, legend: text, dashed } => elements::Line {
            width: *width,
            value: name(var)?,
            color: Some(ColorWithLegend { color: color(*wanted), legend: legend(text) }),
            stack: false,
            skip_scale: false,
            dashes: dashed.then(elements::Dashes::default),
        }
        .into(),
        Element::Print { var, format } => elements::GPrint { var_name: name(var)?, format: format.clone() }.into(),
    })
}

fn color(graphs::Color(rgb, alpha): graphs::Color) -> Color {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Color { red, green, blue, alpha: (alpha != 0xff).then_some(alpha) }
}
