"""ament_python package; built by colcon."""

from setuptools import setup

NAME = "pixio_edge_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml", "README.md"]),
        (f"share/{NAME}/launch", ["launch/depth_launch.py"]),
        (f"share/{NAME}/config", ["config/depth.yaml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="The pixio-edge authors",
    maintainer_email="maintainers@pixio-edge.invalid",
    description="Monocular depth with pixio-edge: sensor_msgs/Image in, depth image and point cloud out.",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"depth_node = {NAME}.depth_node:main"]},
)
